import type { ObjectKey } from '../../api/names.ts';
import { maxSubscriptions, Subscriptions } from '../../control/subscriptions.ts';
import type { Clock } from '../../time/clock.ts';
import type { Brought, Demand } from '../serving/demand.ts';

/** Milliseconds that a request waits for a name. */
const waitMs = 2_000;
/** Milliseconds in which a name that the operator does not know is not asked for again. */
const unknownMs = 5_000;
/** Unknown names that are remembered. */
const maxUnknown = 1_000;
/** Names that wait for an answer at the same time. */
const maxAsked = 64;
/** Of one namespace: who asks for names that nobody has takes nothing from the callers of others. */
const maxAskedOfOne = 16;
/** Milliseconds between two lists of names: a flood of bad names makes ten a second. */
const spacingMs = 100;

export type NameLookupParts = {
  readonly clock: Clock;
  /** Names that an earlier process subscribed to. */
  readonly names: readonly string[];
  /** Whether the plan in force has something of that name. */
  readonly has: (name: ObjectKey) => boolean;
  /** False: there is nobody to ask, and nobody is being reached. */
  readonly canAsk: () => boolean;
  /** The list of names is another: send it. */
  readonly changed: () => void;
  /** What has to survive a restart is another. */
  readonly remember: () => void;
};

type Asked = { readonly waiters: Set<(brought: Brought) => void> };

/**
 * Names that requests ask for and that the plan does not have. A name is asked for once however many requests want it,
 * and remembered when the operator has it: then it is part of the plan until it is not used for longest.
 *
 * Guarantees: a request waits at most 2 s; names that nobody has cost one message in 5 s each, bounded in number, also for
 * each namespace, and never push out a name that somebody has.
 */
export class NameLookup implements Demand {
  readonly #parts: NameLookupParts;
  readonly #subscriptions: Subscriptions;
  readonly #asked = new Map<ObjectKey, Asked>();
  /** Until which monotonic time a name counts as unknown, oldest first. */
  readonly #unknown = new Map<ObjectKey, number>();
  #sentAt = Number.NEGATIVE_INFINITY;
  #cancelSend: (() => void) | undefined;

  constructor(parts: NameLookupParts) {
    this.#parts = parts;
    this.#subscriptions = new Subscriptions(parts.names, maxSubscriptions - maxAsked);
  }

  /** Everything that the operator should answer for. */
  get names(): string[] {
    return [...this.#subscriptions.names, ...this.#asked.keys()];
  }

  /** What survives a restart. */
  get remembered(): readonly string[] {
    return this.#subscriptions.names;
  }

  bring(name: ObjectKey, signal: AbortSignal): Promise<Brought> {
    const now = this.#refusal(name);
    if (now !== undefined || signal.aborted) return Promise.resolve(now ?? 'late');
    const asked = this.#ask(name);
    return new Promise((resolve) => {
      const end = (brought: Brought): void => {
        asked.waiters.delete(end);
        cancel();
        signal.removeEventListener('abort', late);
        resolve(brought);
      };
      const late = (): void => end('late');
      const cancel = this.#parts.clock.after(waitMs, late);
      signal.addEventListener('abort', late, { once: true });
      asked.waiters.add(end);
    });
  }

  used(name: ObjectKey): void {
    if (this.#subscriptions.has(name)) this.#subscriptions.use(name);
  }

  /** Another plan is in force. */
  applied(): void {
    let found = false;
    for (const [name, { waiters }] of this.#asked) {
      if (!this.#parts.has(name)) continue;
      this.#asked.delete(name);
      this.#subscriptions.use(name);
      for (const end of waiters) end('here');
      found = true;
    }
    if (found) this.#parts.remember();
  }

  /** The operator has none of these. */
  unknown(names: readonly string[]): void {
    const until = this.#parts.clock.monotonic() + unknownMs;
    let forgot = false;
    for (const name of names as readonly ObjectKey[]) {
      forgot ||= this.#subscriptions.has(name);
      const asked = this.#asked.get(name);
      if (asked === undefined) continue;
      this.#asked.delete(name);
      this.#unknown.delete(name);
      this.#unknown.set(name, until);
      for (const end of asked.waiters) end('unknown');
    }
    for (const oldest of this.#unknown.keys()) {
      if (this.#unknown.size <= maxUnknown) break;
      this.#unknown.delete(oldest);
    }
    this.#subscriptions.forget(names);
    if (forgot) this.#parts.remember();
    // The operator answers a name again only after it was off the list.
    this.#sendSoon();
  }

  close(): void {
    this.#cancelSend?.();
    for (const { waiters } of this.#asked.values()) for (const end of waiters) end('away');
  }

  #refusal(name: ObjectKey): Brought | undefined {
    const { clock, has, canAsk } = this.#parts;
    if (has(name)) return 'here';
    if ((this.#unknown.get(name) ?? Number.NEGATIVE_INFINITY) > clock.monotonic()) return 'unknown';
    if (!canAsk()) return 'away';
    if (this.#asked.has(name)) return undefined;
    const own = `${name.slice(0, name.indexOf('/'))}/`;
    const ofOne = [...this.#asked].filter(([asked]) => asked.startsWith(own));
    const full = ofOne.length >= maxAskedOfOne ? ofOne : this.#asked.size >= maxAsked ? [...this.#asked] : [];
    if (full.length === 0) return undefined;
    // One that nobody waits for any more gives way.
    const idle = full.find(([, { waiters }]) => waiters.size === 0);
    if (idle === undefined) return 'busy';
    this.#asked.delete(idle[0]);
    return undefined;
  }

  #ask(name: ObjectKey): Asked {
    const before = this.#asked.get(name);
    if (before !== undefined) return before;
    const asked: Asked = { waiters: new Set() };
    this.#asked.set(name, asked);
    this.#sendSoon();
    return asked;
  }

  #sendSoon(): void {
    if (this.#cancelSend !== undefined) return;
    const { clock, changed } = this.#parts;
    const send = (): void => {
      this.#cancelSend = undefined;
      this.#sentAt = clock.monotonic();
      changed();
    };
    const wait = this.#sentAt + spacingMs - clock.monotonic();
    if (wait <= 0) send();
    else this.#cancelSend = clock.after(wait, send);
  }
}
