import { createHash } from 'node:crypto';
import type { Plan } from '../plan/resources.ts';
import type { Clock } from '../time/clock.ts';

/** Removals that a runtime holds back, for reports; as in the protocol. */
export type RemovalsHeld = {
  readonly count: number;
  /** Names the set, with the versions in it: what a person confirms. */
  readonly fingerprint: string;
  /** Until the first of them happens by itself. */
  readonly remainingMs: number;
};

/** A removal that waits, as it is persisted. */
export type WaitingRemoval = { readonly key: string; readonly remainingMs: number };

export type RemovalLimits = {
  /** How long a plan counts as what was held after it was replaced. */
  readonly windowMs: number;
  /** How long a mass removal is held back. */
  readonly holdMs: number;
  /** Plans of fewer resources may go at once. */
  readonly minResources: number;
};

export const removalLimits: RemovalLimits = { windowMs: 60_000, holdMs: 600_000, minResources: 4 };

/**
 * By what a removal is measured: everything that is held, and what clients call by name. Many adapters must not outweigh
 * the few rollouts and routes without which none of them answers.
 */
const measures: readonly ((key: string) => boolean)[] = [
  () => true,
  (key) => !key.startsWith('AdapterSpec '),
];

/** Parts of the window; the largest plan of each is remembered. */
const samples = 12;

/** A plan that was replaced, and when. */
type Past = { readonly plan: Plan; readonly until: number };

/**
 * The mass-removal brake of a runtime: what takes away more than half of what was held at some time of the last minute,
 * or more than half of the rollouts and routes in it, waits for ten minutes or for a person, so that an operator that
 * sees nothing does not empty the nodes. Removals that trickle in count together. What waits counts as if it were not there: else one mass
 * removal would make all wait that come behind it, without an end where a plan changes all the time.
 *
 * Why several plans are compared and not the one at the start of the window: a runtime that was filled within the
 * minute had nothing there.
 *
 * What waits keeps its time across streams and restarts. It happens only when the present stream asks for it, within its first minute, as a
 * replica that has just begun may not be sure at once: another operator that finds the resource in the Hello and does not remove it wants
 * it. What is asked for for the first time after that waits anew.
 */
export class Removals {
  readonly #clock: Clock;
  readonly #limits: RemovalLimits;
  /** Oldest first. */
  #past: Past[] = [];
  /** Monotonic time at which each happens. */
  readonly #waiting = new Map<string, number>();
  /** Those of them that the present stream asked for. */
  readonly #asked = new Set<string>();
  #connectedAt = 0;
  /** Released since the plan was replaced. They were held back once, so what is removed after them does not suffer. */
  readonly #released = new Set<string>();

  constructor(clock: Clock, waiting: readonly WaitingRemoval[] = [], limits: RemovalLimits = removalLimits) {
    this.#clock = clock;
    this.#limits = limits;
    for (const { key, remainingMs } of waiting) {
      // Never longer than a new one: what a file says is no reason to keep something for ever.
      this.#waiting.set(key, clock.monotonic() + Math.min(limits.holdMs, Math.max(0, remainingMs)));
    }
  }

  /** A stream begins. */
  connected(): void {
    this.#connectedAt = this.#clock.monotonic();
  }

  /** The stream ended. */
  disconnected(): void {
    this.#asked.clear();
  }

  /** Nothing waits any more: what asked for it is not followed now. */
  clear(): void {
    this.#waiting.clear();
    this.#asked.clear();
  }

  /** Of `plan`, what is held back for the present stream. */
  held(plan: Plan): RemovalsHeld | undefined {
    if (this.#asked.size === 0) return undefined;
    const now = this.#clock.monotonic();
    const first = Math.min(...[...this.#asked].map((key) => this.#waiting.get(key) ?? now));
    return {
      count: this.#asked.size,
      fingerprint: fingerprintOf(plan, this.#asked),
      remainingMs: Math.max(0, first - now),
    };
  }

  /** Everything that waits, to be persisted. */
  waiting(): readonly WaitingRemoval[] {
    const now = this.#clock.monotonic();
    return [...this.#waiting].map(([key, at]) => ({ key, remainingMs: Math.max(0, at - now) }));
  }

  /** What has waited long enough. The caller removes it. */
  due(): ReadonlySet<string> {
    const now = this.#clock.monotonic();
    return this.#release([...this.#asked].filter((key) => (this.#waiting.get(key) ?? now) <= now));
  }

  /** A person lets happen what the present stream asked for. The caller removes it. */
  confirm(): ReadonlySet<string> {
    return this.#release([...this.#asked]);
  }

  /**
   * Which of the removals of a commit happen now. The caller removes exactly these.
   *
   * `before`: the plan in force; `planned`: with the puts of the commit, without its removals; `put`: keys that the
   * commit puts, taken or refused.
   */
  decide({
    before,
    planned,
    put,
    removes,
    confirmed,
  }: {
    readonly before: Plan;
    readonly planned: Plan;
    readonly put: ReadonlySet<string>;
    readonly removes: readonly string[];
    readonly confirmed: string;
  }): ReadonlySet<string> {
    const wanted = new Set(removes.filter((key) => before.has(key) && !put.has(key)));
    const isLate = this.#clock.monotonic() - this.#connectedAt > this.#limits.windowMs;
    for (const key of this.#waiting.keys()) {
      const isNotAsked = isLate && !this.#asked.has(key);
      if (put.has(key) || !before.has(key) || isNotAsked) this.#forget(key);
      else if (wanted.has(key)) this.#asked.add(key);
    }
    const settled = new Set([...this.due(), ...this.#confirmed(before, wanted, confirmed)]);
    const fresh = [...wanted].filter((key) => !settled.has(key) && !this.#waiting.has(key));
    if (fresh.length === 0) return settled;
    const rest = without(planned, new Set([...settled, ...this.#asked, ...fresh]));
    if (!this.#isMass(without(before, settled), rest)) return new Set([...settled, ...fresh]);
    const at = this.#clock.monotonic() + this.#limits.holdMs;
    for (const key of fresh) {
      this.#waiting.set(key, at);
      this.#asked.add(key);
    }
    return settled;
  }

  /** `replaced` is not in force any more. */
  replaced(replaced: Plan): void {
    const plan = without(replaced, this.#released);
    this.#released.clear();
    const now = this.#clock.monotonic();
    this.#past = this.#past.filter(({ until }) => now - until <= this.#limits.windowMs);
    const part = (at: number): number => Math.floor((at * samples) / this.#limits.windowMs);
    const last = this.#past.at(-1);
    if (last === undefined || part(last.until) !== part(now)) this.#past.push({ plan, until: now });
    else
      this.#past[this.#past.length - 1] = { plan: last.plan.size > plan.size ? last.plan : plan, until: now };
  }

  /** A person has seen the set: as it was reported, or as this commit makes it. */
  #confirmed(plan: Plan, wanted: ReadonlySet<string>, confirmed: string): ReadonlySet<string> {
    if (confirmed === '') return new Set();
    for (const set of [this.#asked, new Set([...this.#asked, ...wanted])]) {
      if (set.size > 0 && fingerprintOf(plan, set) === confirmed) return this.#release([...set]);
    }
    return new Set();
  }

  #release(keys: readonly string[]): ReadonlySet<string> {
    const released = new Set(keys);
    if (keys.length > 0)
      this.#past = this.#past.map((past) => ({ ...past, plan: without(past.plan, released) }));
    for (const key of keys) {
      this.#forget(key);
      this.#released.add(key);
    }
    return released;
  }

  #forget(key: string): void {
    this.#waiting.delete(key);
    this.#asked.delete(key);
  }

  #isMass(before: Plan, after: Plan): boolean {
    const now = this.#clock.monotonic();
    const recent = this.#past.filter(({ until }) => now - until <= this.#limits.windowMs);
    return [before, ...recent.map(({ plan }) => plan)].some((plan) =>
      measures.some((counts) => {
        const all = [...plan.keys()].filter(counts);
        const held = all.filter((key) => !this.#waiting.has(key));
        const gone = held.filter((key) => !after.has(key));
        return all.length >= this.#limits.minResources && gone.length * 2 > held.length;
      }),
    );
  }
}

/** The very same plan for no keys. */
export const without = (plan: Plan, keys: ReadonlySet<string>): Plan =>
  keys.size === 0 ? plan : new Map([...plan].filter(([key]) => !keys.has(key)));

/** 16 hexadecimal digits over keys and versions: an object that is created again is another removal. */
const fingerprintOf = (plan: Plan, keys: Iterable<string>): string => {
  const lines = [...keys].map((key) => `${key} ${plan.get(key)?.version ?? ''}\n`).sort();
  return createHash('sha256').update(lines.join('')).digest('hex').slice(0, 16);
};
