import type { Digest } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Candidate } from '../routing/decision.ts';
import type { Holds } from './holds.ts';
import type { Outcome } from './outcome.ts';

/**
 * What the guard of a rollout sees of one request that the engine was given.
 *
 * Guarantees: a canary that is held, or that the plan gives no weight any more, loses at once the requests that it has not
 * begun to answer: their signal is aborted with REQUEST_CANCELLED. What it has begun goes on to its end.
 */
export class RequestWatch {
  /** Of the call of the engine. */
  readonly signal: AbortSignal;
  readonly #holds: Holds;
  readonly #candidate: Extract<Candidate, { kind: 'adapter' }> | undefined;
  readonly #digest: Digest;
  readonly #startedMs: number;
  readonly #taken = new AbortController();
  #stop: () => void = () => undefined;

  constructor(holds: Holds, candidate: Candidate, digest: Digest, caller: AbortSignal) {
    this.#holds = holds;
    this.#candidate = candidate.kind === 'adapter' && candidate.split !== undefined ? candidate : undefined;
    this.#digest = digest;
    this.#startedMs = holds.clock.monotonic();
    const uid = this.#canaryOf;
    this.signal = uid === undefined ? caller : AbortSignal.any([caller, this.#taken.signal]);
    if (uid !== undefined) this.#stop = holds.given(uid, digest, () => this.#take());
  }

  /** Uid of the rollout whose canary is asked. */
  get #canaryOf(): string | undefined {
    return this.#candidate?.arm === 'canary' ? this.#candidate.split?.uid : undefined;
  }

  /** True when the request was taken from a canary, or failed with one that is held: another one is to answer it. */
  get isTaken(): boolean {
    const uid = this.#canaryOf;
    return this.#taken.signal.aborted || (uid !== undefined && this.#holds.isHeld(uid, this.#digest));
  }

  /**
   * The answer begins, or has come as a whole: from here on it is not taken away. `ms` of the engine's own work, where
   * that is known. Errors: REQUEST_CANCELLED when it was taken away before.
   */
  begun(ms: number | undefined): void {
    this.#stop();
    this.#taken.signal.throwIfAborted();
    if (ms === undefined || this.#candidate?.split === undefined) return;
    const { split, arm } = this.#candidate;
    if (arm === 'stable' || arm === 'canary') this.#holds.timed(split.uid, split.canaryDigest, arm, ms);
  }

  /** As {@link begun}, of an answer that came as a whole: nobody knows how long it waited. */
  came(isClassification: boolean): void {
    this.begun(this.#holds.clock.monotonic() - this.#startedMs);
    const { split, arm } = this.#candidate ?? {};
    if (isClassification && arm === 'stable' && split !== undefined)
      this.#holds.stableClassified(split.uid, this.#digest);
  }

  ended(outcome: Outcome, error: unknown): void {
    this.#stop();
    const uid = this.#canaryOf;
    if (uid !== undefined) this.#holds.observe(uid, this.#digest, outcome, error);
  }

  #take(): void {
    this.#taken.abort(
      new AdaptletError('REQUEST_CANCELLED', 'The canary lost its traffic before it began to answer'),
    );
  }
}
