import type { HeldVersions } from '../../control/held-versions.ts';
import { covers, noRevision, type Revision, revisionToWire } from '../../control/revision.ts';
import { type Batch, Sender, type Target } from '../../control/sender.ts';
import { resourceToWire } from '../../control/wire.ts';
import { AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { Ack, HeldList, SyncResponse } from '../../gen/adaptlet/control/v1/control.ts';
import type { Clock } from '../../time/clock.ts';
import { bounded } from '../fleet/size.ts';
import { maxRefused } from '../fleet/update.ts';
import type { RuntimePlan } from '../plans/plans.ts';
import type { Channel } from './channel.ts';
import type { SyncCounts } from './counts.ts';
import { type ReadHello, readHeld } from './hello.ts';

/** How long a runtime may take nothing, or leave a commit unanswered. It answers when the plan is in force and written. */
export const answerMs = 60_000;

/** Most names of one Subscribe. */
const maxNames = 10_000;
/** Characters of a reason that are kept. */
const maxReason = 512;
/** Most of what a runtime refuses that is told, in bytes of keys and reasons: it is relayed with all else that it says. */
const maxRefusedBytes = 1 << 20;

export type DeliveryParts = {
  readonly channel: Channel<unknown, SyncResponse>;
  readonly clock: Clock;
  readonly counts: SyncCounts;
  /** Undefined: there is none now. */
  readonly plan: () => RuntimePlan | undefined;
  /** The runtime has all that it may be sent now. `names`: those that it asked for. */
  readonly settled: (names: ReadonlySet<string>) => void;
  readonly mayRemove: (key: string) => boolean;
  readonly confirmedRemovals: () => string;
  /** {@link Delivery.refused} is other than before, and no answer of the runtime is why. */
  readonly refusedChanged: () => void;
  /** False: what this replica sees may be old, so nothing is sent. */
  readonly isHealthy: () => boolean;
};

/**
 * Brings one runtime to the newest plan: one commit at a time, whatever happens meanwhile.
 *
 * A runtime that takes nothing costs one commit of memory: bodies are shared between runtimes, and the difference to the
 * newest plan is only made when the last commit was answered.
 */
export class Delivery {
  readonly #parts: DeliveryParts;
  readonly #sender: Sender;
  #writing = false;
  /** Something kept the last look from sending: it is looked again when that may have changed. */
  #held = false;
  #stopTimer = (): void => undefined;
  #progressAt = 0;
  #notEnforced: ReadonlyMap<string, string> = new Map();

  constructor(
    parts: DeliveryParts,
    { held, revision, subscriptions, clusterUid }: ReadHello,
    { cluster, former }: { readonly cluster: string; readonly former: HeldVersions | undefined },
  ) {
    this.#parts = parts;
    // What a runtime saw of another cluster orders nothing here.
    const reached = clusterUid === cluster ? revision : noRevision;
    this.#sender = new Sender({ held, revision: reached, subscriptions, former });
    parts.channel.signal.addEventListener('abort', () => this.#stopTimer(), { once: true });
  }

  /** The newest revision whose commit was answered. */
  get reached(): Revision {
    return this.#sender.reached;
  }

  /** What the runtime holds, as far as that is known. */
  get held(): HeldVersions | undefined {
    return this.#sender.held;
  }

  /** No commit is under way. */
  get isIdle(): boolean {
    return !this.#writing && !this.#sender.inFlight;
  }

  /** Reasons of what the runtime refuses now, or is not sent as it would not enforce it, by key; of very many the first. */
  refused(): ReadonlyMap<string, string> {
    const told = new Map<string, string>();
    let left = maxRefusedBytes;
    const refused = [...this.#sender.refused].map(([key, { reason }]) => [key, reason] as const);
    for (const [key, reason] of [...this.#notEnforced, ...refused]) {
      left -= 16 + Buffer.byteLength(key) + Buffer.byteLength(reason);
      if (left < 0 || told.size >= maxRefused) break;
      told.set(key, reason);
    }
    return told;
  }

  /** @throws HELLO_INVALID for more than {@link maxNames} */
  subscribe(names: readonly string[]): void {
    if (names.length > maxNames)
      throw new AdaptletError('HELLO_INVALID', `the runtime asks for more than ${maxNames} names`);
    this.#sender.subscribe(names);
    this.look();
  }

  /** @throws HELLO_INVALID for a list that was not asked for, or that is none */
  listed({ held, sameParts }: HeldList): void {
    if (!this.#sender.listed(readHeld(held), sameParts))
      throw new AdaptletError('HELLO_INVALID', 'the runtime lists what it was not asked for');
    this.#stopTimer();
    this.look();
  }

  /** @throws HELLO_INVALID for an answer to what was not sent */
  acknowledged({ nonce, refused }: Ack): void {
    const kept = refused.map((each) => ({ ...each, reason: bounded(each.reason, maxReason) }));
    if (this.#writing || !this.#sender.acknowledged(nonce, kept)) {
      throw new AdaptletError(
        'HELLO_INVALID',
        `the runtime answers the commit ${nonce}, which it was not sent`,
      );
    }
    this.#stopTimer();
    const { counts } = this.#parts;
    counts.acknowledged += 1;
    counts.refusals += refused.length;
    this.look();
  }

  /** What kept the last look from sending may be over. */
  resume(): void {
    if (this.#held) this.look();
  }

  /** Sends what leads to the newest plan, unless a commit is under way. */
  look(): void {
    const { channel, isHealthy, settled, refusedChanged } = this.#parts;
    if (this.#writing || this.#sender.inFlight || channel.signal.aborted) return;
    this.#held = !isHealthy();
    if (this.#held) return;
    const told = this.#notEnforced;
    const target = this.#target();
    this.#held = target === undefined || this.#sender.behind(target);
    const batch = target === undefined ? undefined : this.#sender.next(target);
    const asked = batch === undefined ? this.#sender.asks() : undefined;
    if (batch !== undefined) void this.#send(batch);
    else if (asked !== undefined) void this.#ask(asked);
    else if (!this.#held && this.#sender.isKnown) settled(this.#sender.subscriptions);
    if (!isSame(told, this.#notEnforced)) refusedChanged();
  }

  #target(): Target | undefined {
    const { plan: planNow, mayRemove, confirmedRemovals } = this.#parts;
    const now = planNow();
    if (now === undefined) return undefined;
    const { plan, withheld, only, seen, notEnforced = new Map<string, string>() } = now;
    this.#notEnforced = notEnforced;
    // Everything up to `seen` is in the plan: it may claim what the runtime has seen already, also where no object tells
    // of it any more.
    const { reached } = this.#sender;
    const revision = covers(seen, reached) ? newest(now.revision, reached) : now.revision;
    return { plan, withheld, only, revision, mayRemove, confirmedRemovals: confirmedRemovals() };
  }

  /** Nothing is sent before the answer: a stream without one ends. */
  async #ask(partHashes: readonly Buffer[]): Promise<void> {
    const { channel, counts } = this.#parts;
    counts.listsWanted += 1;
    this.#watch('the question for what it holds');
    try {
      await channel.write({ message: { $case: 'heldWanted', value: { partHashes: [...partHashes] } } });
    } catch (error) {
      channel.end(asAdaptletError(error, 'writing to a runtime'));
    }
  }

  async #send({ puts, removes, unknown, commit }: Batch): Promise<void> {
    const { channel, counts } = this.#parts;
    const write = async (message: NonNullable<SyncResponse['message']>): Promise<void> => {
      await channel.write({ message });
      this.#progressAt = this.#parts.clock.monotonic();
    };
    this.#writing = true;
    this.#watch(`the commit ${commit.nonce}`);
    try {
      for (const resource of puts) {
        const value = resourceToWire(resource);
        counts.bytes += value.body.length;
        await write({ $case: 'put', value });
      }
      for (const value of removes) await write({ $case: 'remove', value });
      if (unknown.length > 0) await write({ $case: 'unknown', value: { names: [...unknown] } });
      counts.commits += 1;
      counts.puts += puts.length;
      counts.removes += removes.length;
      // A runtime that answers at once finds everything in order.
      this.#writing = false;
      await write({ $case: 'commit', value: { ...commit, revision: revisionToWire(commit.revision) } });
    } catch (error) {
      channel.end(asAdaptletError(error, 'writing to a runtime'));
    }
  }

  /** Ends the stream when nothing moves for too long. */
  #watch(what: string): void {
    const { channel, clock, counts } = this.#parts;
    this.#progressAt = clock.monotonic();
    const wait = (ms: number): void => {
      this.#stopTimer = clock.after(ms, () => {
        const left = this.#progressAt + answerMs - clock.monotonic();
        if (left > 0) {
          wait(left);
          return;
        }
        counts.unanswered += 1;
        channel.end(
          new AdaptletError('REPLICA_UNAVAILABLE', `${what} was not answered within ${answerMs} ms`),
        );
      });
    };
    wait(answerMs);
  }
}

const isSame = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean =>
  a.size === b.size && [...a].every(([key, reason]) => b.get(key) === reason);

const newest = (a: Revision, b: Revision): Revision => ({
  adapters: a.adapters > b.adapters ? a.adapters : b.adapters,
  rollouts: a.rollouts > b.rollouts ? a.rollouts : b.rollouts,
  routes: a.routes > b.routes ? a.routes : b.routes,
  runtimes: a.runtimes > b.runtimes ? a.runtimes : b.runtimes,
  policies: a.policies > b.policies ? a.policies : b.policies,
});
