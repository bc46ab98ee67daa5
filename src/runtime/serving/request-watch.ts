import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Clock } from '../../time/clock.ts';
import type { Candidate } from '../routing/decision.ts';
import type { ServedBy } from '../routing/request.ts';
import type { Acquired } from './acquire.ts';
import type { RolloutCounts, TalliedRequest } from './counts/rollout-counts.ts';
import type { Guard } from './guard/guard.ts';
import type { Outcome } from './guard/outcome.ts';

export type WatchParts = {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly guard: Pick<
    Guard,
    'canaries' | 'classifying' | 'holdInForce' | 'left' | 'pending' | 'recordResult' | 'stables'
  >;
  readonly counts: RolloutCounts;
};

/**
 * What the guard and the counts of a rollout see of one request that the engine was given.
 *
 * Guarantees: a request is counted once, for the arm that was asked; a canary that is held, or that the plan gives no
 * weight any more, loses at once the requests that it has not begun to answer: their signal is aborted with
 * REQUEST_CANCELLED. What it has begun goes on to its end. A stable that is out of service, and has a replacement, loses
 * the request with which that was found out.
 */
export class RequestWatch {
  /** Of the answer, as its caller gets it: where a rollout chose, feedback about it counts by what it says. */
  readonly id: string;
  /** Of the call of the engine. */
  readonly signal: AbortSignal;
  readonly #parts: WatchParts;
  /** Of its answers, in the engine. */
  readonly #ids: readonly string[];
  /** Undefined when no rollout chose. */
  readonly #request: TalliedRequest | undefined;
  /** Of the version that answers. */
  readonly #engineName: string;
  readonly #startedMs: number;
  /** Until the answer began: of the engine's own work where that is known, as the guard sees it. */
  #latencyMs = 0;
  #isComplete = false;
  /** Given to a stable that is out of service, to try it. */
  #isTrial = false;
  /** Another version, or the base model, may answer instead. */
  readonly #isReplaceable: boolean;
  readonly #withdrawal = new AbortController();
  #noLongerPending: () => void = () => undefined;

  /** `ids`: of its answers, in the engine; the first one is that of the request. */
  constructor(
    parts: WatchParts,
    ids: readonly [string, ...string[]],
    { candidate, lease, served }: Acquired,
    caller: AbortSignal,
  ) {
    const { clock, guard } = parts;
    const request = requestOf(candidate, served);
    const isCanary = request?.arm === 'canary';
    this.#parts = parts;
    this.#ids = ids;
    this.#request = request;
    this.id = request === undefined ? ids[0] : parts.counts.feedback.idOf(request);
    this.#engineName = lease?.engineName ?? '';
    this.#startedMs = clock.monotonic();
    this.signal = isCanary ? AbortSignal.any([caller, this.#withdrawal.signal]) : caller;
    this.#isReplaceable = isCanary || (candidate.kind === 'adapter' && candidate.isReplaceable === true);
    if (request === undefined) return;
    const { split, digest } = request;
    if (isCanary) this.#noLongerPending = guard.pending.add(split.uid, digest, () => this.#withdraw());
    else this.#isTrial = guard.stables.recordStart(split.uid, digest);
  }

  get #elapsedMs(): number {
    return this.#parts.clock.monotonic() - this.#startedMs;
  }

  /** True when the request was withdrawn from a canary, or failed with a version that is held: another one is to answer it. */
  get needsAnother(): boolean {
    if (this.#withdrawal.signal.aborted) return true;
    if (this.#request === undefined || !this.#isReplaceable) return false;
    const { split, digest } = this.#request;
    return this.#parts.guard.holdInForce(split.uid, digest) !== undefined;
  }

  /**
   * The answer begins: from here on it is not withdrawn. `ms` of the engine's own work, where that is known.
   * @throws REQUEST_CANCELLED when it was withdrawn before
   */
  answerBegan(ms: number | undefined): void {
    this.#noLongerPending();
    this.#withdrawal.signal.throwIfAborted();
    this.#latencyMs = ms ?? this.#elapsedMs;
    if (ms === undefined || this.#request === undefined) return;
    const { split, arm } = this.#request;
    this.#parts.guard.canaries.recordLatency(split.uid, split.canaryDigest, arm, ms);
  }

  /** As {@link answerBegan}, of an answer that came as a whole: nobody knows how long it waited. */
  wholeAnswerCame(isClassification: boolean): void {
    this.answerBegan(this.#elapsedMs);
    if (isClassification && this.#request?.arm === 'stable')
      this.#parts.guard.classifying.record(this.#request.split.uid, this.#request.digest);
  }

  /** The answer is complete. To be called before the caller knows: feedback may follow at once. */
  answerCompleted(): void {
    if (this.#request === undefined || this.#isComplete) return;
    this.#isComplete = true;
    this.#parts.counts.answered(this.#request, this.#latencyMs);
  }

  /** The request is over. What its caller left, or what was withdrawn, the engine may still work on. */
  recordResult(outcome: Outcome, error: unknown): void {
    this.#noLongerPending();
    if (this.#request === undefined) return;
    const { guard, counts } = this.#parts;
    const { split, arm, digest } = this.#request;
    const engineName = this.#engineName;
    const asked = { engineName, rolloutUid: split.uid, arm, digest, isTrial: this.#isTrial };
    if (this.signal.aborted && outcome === 'neutral') guard.left(this.#ids, asked);
    const counted = guard.recordResult(asked, outcome, error);
    if (counted === 'failure' && !this.#isComplete) counts.failed(this.#request);
  }

  #withdraw(): void {
    this.#withdrawal.abort(
      new AdaptletError('REQUEST_CANCELLED', 'The canary lost its traffic before it began to answer'),
    );
  }
}

const requestOf = (candidate: Candidate, { digest }: ServedBy): TalliedRequest | undefined => {
  if (candidate.kind !== 'adapter' || candidate.split === undefined) return undefined;
  const { split, rollout, arm } = candidate;
  return arm === 'stable' || arm === 'canary' ? { split, rollout, arm, digest } : undefined;
};
