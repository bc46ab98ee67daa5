import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Candidate } from '../routing/decision.ts';
import type { ServedBy } from '../routing/request.ts';
import type { RolloutCounts, TalliedRequest } from './counts/rollout-counts.ts';
import type { Holds } from './guard/holds.ts';
import type { Outcome } from './guard/outcome.ts';

export type Watchers = { readonly holds: Holds; readonly tally: RolloutCounts };

/**
 * What the guard and the counts of a rollout see of one request that the engine was given.
 *
 * Guarantees: a request is counted once, for the arm that was asked; a canary that is held, or that the plan gives no
 * weight any more, loses at once the requests that it has not begun to answer: their signal is aborted with
 * REQUEST_CANCELLED. What it has begun goes on to its end. A stable that is out of service, and has a replacement, loses
 * the request with which that was found out.
 */
export class RequestWatch {
  /** Of the call of the engine. */
  readonly signal: AbortSignal;
  readonly #holds: Holds;
  readonly #tally: RolloutCounts;
  /** Undefined when no rollout chose. */
  readonly #request: TalliedRequest | undefined;
  readonly #startedMs: number;
  /** Until the answer began: of the engine's own work where that is known, as the guard sees it. */
  #latencyMs = 0;
  #isAnswered = false;
  /** Given to a stable that is out of service, to try it. */
  readonly #isTrial: boolean;
  readonly #isReplaceable: boolean;
  readonly #taken = new AbortController();
  #stop: () => void = () => undefined;

  constructor(
    { holds, tally }: Watchers,
    id: string,
    { candidate, served }: { readonly candidate: Candidate; readonly served: ServedBy },
    caller: AbortSignal,
  ) {
    this.#holds = holds;
    this.#tally = tally;
    this.#request = requestOf(id, candidate, served);
    this.#startedMs = holds.clock.monotonic();
    const canary = this.#canary;
    this.signal = canary === undefined ? caller : AbortSignal.any([caller, this.#taken.signal]);
    this.#isReplaceable = candidate.kind === 'adapter' && candidate.isReplaceable === true;
    const { split, arm, digest } = this.#request ?? {};
    this.#isTrial =
      arm === 'stable' && split !== undefined && digest !== undefined && holds.givenStable(split.uid, digest);
    if (canary !== undefined) this.#stop = holds.given(canary.split.uid, canary.digest, () => this.#take());
  }

  /** The request, when a canary is asked. */
  get #canary(): TalliedRequest | undefined {
    return this.#request?.arm === 'canary' ? this.#request : undefined;
  }

  get #elapsedMs(): number {
    return this.#holds.clock.monotonic() - this.#startedMs;
  }

  /** True when the request was taken from a canary, or failed with one that is held: another one is to answer it. */
  get isTaken(): boolean {
    if (this.#taken.signal.aborted) return true;
    if (this.#request === undefined) return false;
    const { split, arm, digest } = this.#request;
    return arm === 'canary'
      ? this.#holds.isHeld(split.uid, digest)
      : this.#isReplaceable && this.#holds.isOut(split.uid, digest);
  }

  /**
   * The answer begins, or has come as a whole: from here on it is not taken away. `ms` of the engine's own work, where
   * that is known. Errors: REQUEST_CANCELLED when it was taken away before.
   */
  begun(ms: number | undefined): void {
    this.#stop();
    this.#taken.signal.throwIfAborted();
    this.#latencyMs = ms ?? this.#elapsedMs;
    if (ms === undefined || this.#request === undefined) return;
    const { split, arm } = this.#request;
    this.#holds.timed(split.uid, split.canaryDigest, arm, ms);
  }

  /** As {@link begun}, of an answer that came as a whole: nobody knows how long it waited. */
  came(isClassification: boolean): void {
    this.begun(this.#elapsedMs);
    if (isClassification && this.#request?.arm === 'stable')
      this.#holds.stableClassified(this.#request.split.uid, this.#request.digest);
  }

  /** The answer is complete. To be called before the caller knows: feedback may follow at once. */
  answered(): void {
    if (this.#request === undefined || this.#isAnswered) return;
    this.#isAnswered = true;
    this.#tally.answered(this.#request, this.#latencyMs);
  }

  ended(outcome: Outcome, error: unknown): void {
    this.#stop();
    const request = this.#request;
    if (request === undefined) return;
    const { split, digest, arm } = request;
    if (arm === 'stable')
      this.#holds.observeStable(split.uid, digest, { outcome, isTrial: this.#isTrial }, error);
    const seen = arm === 'canary' ? this.#holds.observe(split.uid, digest, outcome, error) : outcome;
    if (seen === 'failure' && !this.#isAnswered) this.#tally.failed(request);
  }

  #take(): void {
    this.#taken.abort(
      new AdaptletError('REQUEST_CANCELLED', 'The canary lost its traffic before it began to answer'),
    );
  }
}

const requestOf = (id: string, candidate: Candidate, { digest }: ServedBy): TalliedRequest | undefined => {
  if (candidate.kind !== 'adapter' || candidate.split === undefined) return undefined;
  const { split, rollout, arm } = candidate;
  return arm === 'stable' || arm === 'canary' ? { id, split, rollout, arm, digest } : undefined;
};
