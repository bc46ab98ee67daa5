import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { CopyCounts } from '../../../rollout/copies.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Engine } from '../../engine/engine.ts';
import type { EncodeResult } from '../../engine/tasks.ts';
import type { Residency } from '../../residency/manager.ts';
import type { Candidate, ServingFacts } from '../../routing/decision.ts';
import type { ServedBy } from '../../routing/request.ts';
import type { RoutingTable } from '../../routing/table.ts';
import type { CopyResult, CopyTally } from '../counts/copy-tally.ts';
import type { Guard } from '../guard/guard.ts';
import type { EncodeRequest, GenerateRequest } from '../serving.ts';
import { type Copy, type CopyAnswer, copyOfEncoding, MirroredGeneration, type MirrorTarget } from './copy.ts';
import { OverlapBudget } from './overlap.ts';
import { MirrorTargets } from './targets.ts';

/** Copies that wait; one more is dropped. Each has a prompt in it. */
export const maxWaiting = 4;
/** Milliseconds that a copy may take. One that takes longer is dropped: it had to wait for requests, or is endless. */
export const copyLimitMs = 60_000;
/** After so many milliseconds is looked again whether a copy that waits may begin. */
const lookAgainMs = 1000;

export type MirrorParts = {
  readonly engine: Engine;
  readonly residency: Pick<Residency, 'tryAcquire'>;
  readonly facts: ServingFacts;
  readonly guard: Pick<Guard, 'canaries' | 'left' | 'recordResult'>;
  readonly tally: CopyTally;
  readonly clock: Clock;
  readonly table: () => RoutingTable;
  /** Requests that may be in the engine at once. */
  readonly maxConcurrent: number;
  /** Requests that are known to wait for a place in the engine. */
  readonly waiting: () => number;
};

type Running = { readonly copy: Copy; readonly abort: AbortController };

/**
 * Gives canaries copies of requests that stable has answered, in the background.
 *
 * Guarantees: a copy exists only once the whole answer has been handed to the client's stream, and nothing of it gets
 * there; it is no request of the client's: neither its deadline nor what is counted of it know about it. At most one copy
 * is with the engine, beside requests only for a small share of the time and while they leave a place free beside it: it is
 * taken back when that is over, when the canary is held, and when the plan mirrors to it no more. At most
 * {@link maxWaiting} wait.
 * What a canary fails to answer counts for its guard as any failure of it: a canary that is broken is held before it ever
 * has a client.
 */
export class Mirror {
  readonly #parts: MirrorParts;
  #waiting: Copy[] = [];
  #running: Running | undefined;
  #cancelLook: (() => void) | undefined;
  #cancelEnd: (() => void) | undefined;
  readonly #targets: MirrorTargets;
  readonly #overlap: OverlapBudget;
  /** Requests of clients that are in the engine now. */
  #inEngine = 0;
  #isClosed = false;

  constructor(parts: MirrorParts) {
    this.#parts = parts;
    this.#targets = new MirrorTargets(parts);
    this.#overlap = new OverlapBudget(parts.clock);
  }

  /** A generation by stable begins. Undefined: the canary gets no copy of it. */
  generation(
    candidate: Candidate,
    served: ServedBy,
    id: string,
    request: GenerateRequest,
  ): MirroredGeneration | undefined {
    const target = this.#targets.find(candidate, served, id);
    return target === undefined ? undefined : new MirroredGeneration(target, copyIdOf(id), request);
  }

  /** Stable has given embeddings or classifications. */
  encoded(
    candidate: Candidate,
    served: ServedBy,
    id: string,
    request: EncodeRequest,
    result: EncodeResult,
  ): void {
    const target = this.#targets.find(candidate, served, id);
    if (target !== undefined) this.offer(copyOfEncoding(target, copyIdOf(id), request, result));
  }

  /** Stable has answered. */
  offer(copy: Copy): void {
    if (this.#isClosed || !this.#targets.isWanted(copy.target)) return;
    if (this.#waiting.length >= maxWaiting) this.#drop(copy.target);
    else this.#waiting.push(copy);
    this.#next();
  }

  /** A request of a client came to the engine or left it: so many are there now. */
  loadChanged(inEngine: number): void {
    this.#inEngine = inEngine;
    this.#watchOverlap();
    this.#next();
  }

  /** Another plan is in force, or a canary is held. */
  planChanged(): void {
    this.#waiting = this.#waiting.filter(({ target }) => this.#targets.isWanted(target));
    if (this.#running !== undefined && !this.#targets.isWanted(this.#running.copy.target))
      this.#running.abort.abort(gaveWay());
  }

  close(): void {
    this.#isClosed = true;
    this.#waiting = [];
    this.#cancelLook?.();
    this.#cancelEnd?.();
    this.#running?.abort.abort(gaveWay());
  }

  /** Beside a copy one place stays free, so that the next request waits for nobody. */
  #hasRoom(): boolean {
    return this.#inEngine === 0 || this.#inEngine + 1 < this.#parts.maxConcurrent;
  }

  /** A copy that is beside requests leaves when there is no free place any more, or no time. */
  #watchOverlap(): void {
    const running = this.#running;
    const isBeside = running !== undefined && this.#inEngine > 0;
    this.#overlap.set(isBeside);
    this.#cancelEnd?.();
    this.#cancelEnd = undefined;
    if (!isBeside) return;
    const leave = (): void => running.abort.abort(gaveWay());
    const { endsInMs } = this.#overlap;
    if (!this.#hasRoom() || endsInMs === 0) leave();
    else this.#cancelEnd = this.#parts.clock.after(endsInMs, leave);
  }

  #mayBegin(): boolean {
    const isIdle = this.#inEngine === 0;
    return this.#parts.waiting() === 0 && this.#hasRoom() && (isIdle || this.#overlap.mayBegin);
  }

  #next(): void {
    if (this.#isClosed || this.#running !== undefined || this.#waiting.length === 0) return;
    if (!this.#mayBegin()) {
      this.#lookAgain();
      return;
    }
    const copy = this.#waiting.shift();
    if (copy === undefined) return;
    const running = { copy, abort: new AbortController() };
    this.#running = running;
    this.#watchOverlap();
    void this.#run(running).finally(() => {
      this.#running = undefined;
      this.#watchOverlap();
      this.#next();
    });
  }

  /** A place, or time, may become free without a request that ends: memory was short, or the time had to be saved up. */
  #lookAgain(): void {
    this.#cancelLook ??= this.#parts.clock.after(lookAgainMs, () => {
      this.#cancelLook = undefined;
      this.#next();
    });
  }

  async #run({ copy, abort }: Running): Promise<void> {
    const { engine, residency, facts, clock, guard, tally } = this.#parts;
    const { target } = copy;
    const isThere =
      this.#targets.isWanted(target) &&
      engine.state === 'ready' &&
      facts.serves(target.adapter, target.digest);
    using lease = isThere ? residency.tryAcquire(target.adapter, { digest: target.digest }) : undefined;
    if (lease === undefined) {
      this.#drop(target);
      return;
    }
    const cancelLimit = clock.after(copyLimitMs, () => abort.abort(gaveWay()));
    try {
      this.#answered(target, await copy.ask(engine, lease.engineName, abort.signal));
    } catch (error) {
      const { uid: rolloutUid, digest } = target;
      const { engineName } = lease;
      const asked = { engineName, rolloutUid, arm: 'canary', digest, isTrial: false } as const;
      const isTakenBack = abort.signal.aborted;
      if (isTakenBack) guard.left([copy.id], asked);
      // Stable has answered the very same request: whatever the error says, it is not the caller's.
      const outcome = isTakenBack || isOfLoad(error) ? 'neutral' : 'failure';
      if (guard.recordResult(asked, outcome, error) === 'neutral') this.#drop(target);
      else tally.add(target, 'failed', { requests: 1, failed: 1 });
    } finally {
      cancelLimit();
    }
  }

  #answered(target: MirrorTarget, { comparison, times, canaryMs }: CopyAnswer): void {
    const { tally, guard } = this.#parts;
    const counts: Partial<CopyCounts> = {
      requests: 1,
      ...(comparison === undefined
        ? {}
        : { compared: 1, equal: comparison.equal ? 1 : 0, similarity: comparison.similarity }),
      ...(times === undefined ? {} : { timed: 1, stableMs: times.stable, canaryMs: times.canary }),
    };
    const result: CopyResult =
      comparison === undefined ? 'unchecked' : comparison.equal ? 'equal' : 'different';
    tally.add(target, result, counts);
    guard.canaries.recordResult(target.uid, target.digest, 'success', undefined);
    if (canaryMs !== undefined) guard.canaries.recordLatency(target.uid, target.digest, 'canary', canaryMs);
  }

  #drop(target: MirrorTarget): void {
    // After mirroring ended there is nobody who would want to know.
    if (this.#targets.isWanted(target)) this.#parts.tally.add(target, 'dropped', { dropped: 1 });
  }
}

const gaveWay = (): AdaptletError =>
  new AdaptletError('REQUEST_CANCELLED', 'A copy for a canary gave way to requests');

const copyIdOf = (request: string): string => `${request}-mirror`;

/** Errors that are neither the request's nor the canary's. */
const isOfLoad = (error: unknown): boolean =>
  error instanceof AdaptletError &&
  (error.code === 'REQUEST_CANCELLED' || error.code === 'DEADLINE_EXCEEDED' || error.code === 'QUEUE_FULL');
