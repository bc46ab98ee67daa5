import type { Logger } from 'pino';
import type { HeldPlan } from '../../control/held-plan.ts';
import type { InForce, Receiver } from '../../control/receiver.ts';
import type { Refusal } from '../../control/wire.ts';
import type { Ack, Commit, RemovalsHeld, Resource } from '../../gen/adaptlet/control/v1/control.ts';
import type { Plan } from '../../plan/resources.ts';
import type { Clock } from '../../time/clock.ts';

/** What the time that is left of removals is written down for, in milliseconds. */
const rememberMs = 60_000;

export type PlanFollowerParts = {
  readonly receiver: Receiver;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly write: (plan: HeldPlan) => Promise<void>;
  /** Puts a plan in force. */
  readonly apply: (plan: Plan) => void;
  /** What is refused or held back is other than before. */
  readonly changed: () => void;
};

/**
 * Puts the commits of the operator in force, writes them to the disk and answers.
 *
 * Guarantees: a plan is in force before it is written, so that no request and no abort waits for the disk. It is answered
 * after it was written. A disk that refuses it is reported and does not keep a newer plan from coming: the answer is
 * given all the same, the next Hello of this process says what it has, and that of the next process what the disk has.
 * See docs/adr/0029.
 */
export class PlanFollower {
  readonly #parts: PlanFollowerParts;
  readonly #refused = new Map<string, Refusal>();
  /** Keys of the commit that is being received. */
  readonly #touched = new Set<string>();
  #notSaved = '';
  #saving: Promise<void> = Promise.resolve();
  #cancelTimer = (): void => undefined;

  constructor(parts: PlanFollowerParts) {
    this.#parts = parts;
  }

  /** What is refused now. */
  get refused(): readonly Refusal[] {
    return [...this.#refused.values()];
  }

  /** Why the plan in force is not on the disk; '' when it is. */
  get notSaved(): string {
    return this.#notSaved;
  }

  get removalsHeld(): RemovalsHeld | undefined {
    const held = this.#parts.receiver.removals;
    return held === undefined ? undefined : { ...held, remainingMs: BigInt(Math.ceil(held.remainingMs)) };
  }

  put(resource: Resource): void {
    this.#touched.add(resource.key);
    this.#parts.receiver.put(resource);
  }

  remove(key: string): void {
    this.#touched.add(key);
    this.#parts.receiver.remove(key);
  }

  /**
   * A stream begins: what is still refused is sent and refused again.
   * @throws CLUSTER_UNTRUSTED
   */
  welcome(clusterUid: string): void {
    this.#parts.receiver.welcome(clusterUid);
    this.#refused.clear();
  }

  /** @throws a commit that is not taken as a whole; the stream has to end */
  async commit(commit: Commit): Promise<Ack> {
    const { receiver, logger, changed } = this.#parts;
    const committed = receiver.commit(commit);
    if (committed.outcome === 'Rejected') throw new Error(`${committed.why}: ${committed.reason}`);
    const { refused } = committed;
    for (const key of this.#touched) this.#refused.delete(key);
    this.#touched.clear();
    for (const { key, version, reason } of refused) {
      logger.warn(
        { resource: key, version, reason },
        'a resource is refused; its former version stays in force',
      );
      this.#refused.set(key, { key, version, reason });
    }
    this.#inForce(committed);
    changed();
    await this.save();
    return { nonce: commit.nonce, refused: [...refused] };
  }

  /** Lets everything happen that is held back; resolves to how much. */
  async confirmRemovals(): Promise<number> {
    const before = this.#parts.receiver.plan.size;
    const inForce = this.#parts.receiver.confirmRemovals();
    if (inForce === undefined) return 0;
    this.#inForce(inForce);
    this.#parts.changed();
    await this.save();
    return before - inForce.plan.size;
  }

  /** Never rejects. */
  save(): Promise<void> {
    this.#saving = this.#save();
    return this.#saving;
  }

  /** Resolves to whether the disk has the plan in force, once that is known. */
  async saved(): Promise<boolean> {
    // A plan is written right after it is put in force: who asks within that waits for this one.
    await Promise.resolve();
    await this.#saving;
    return this.#notSaved === '';
  }

  async #save(): Promise<void> {
    try {
      await this.#parts.write(this.#parts.receiver.held());
      this.#notSaved = '';
    } catch (error) {
      this.#notSaved = error instanceof Error ? error.message : String(error);
      this.#parts.logger.error(
        { err: error },
        'the plan in force could not be written to disk; a restart would use an older one',
      );
      this.#schedule();
    }
  }

  /** The stream ended: what it wanted removed is not asked for any more. */
  broken(): void {
    this.#touched.clear();
    this.#parts.receiver.broken();
    this.#schedule();
    this.#parts.changed();
  }

  /** Resolves once the plan in force is on the disk, as far as the disk takes it. */
  async close(): Promise<void> {
    this.#cancelTimer();
    await this.#saving;
    // With the time that is left now.
    if (this.#parts.receiver.held().removals.length > 0) await this.save();
    this.#cancelTimer();
  }

  #inForce({ plan, changed, removals }: InForce): void {
    if (changed) this.#parts.apply(plan);
    if (removals !== undefined) {
      const { count, remainingMs } = removals;
      this.#parts.logger.warn(
        { count, remainingMs },
        'removals are held back: they take away most of the plan',
      );
    }
    this.#schedule();
  }

  #schedule(): void {
    const { clock, receiver } = this.#parts;
    this.#cancelTimer();
    const { removals } = receiver;
    if (removals === undefined && this.#notSaved === '') return;
    const wait = Math.min(rememberMs, removals?.remainingMs ?? rememberMs);
    this.#cancelTimer = clock.after(Math.max(1, wait), () => void this.#tick());
  }

  async #tick(): Promise<void> {
    const due = this.#parts.receiver.removalsDue();
    if (due !== undefined) {
      this.#inForce(due);
      this.#parts.changed();
    }
    this.#schedule();
    await this.save();
  }
}
