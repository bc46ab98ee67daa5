import type { MirrorStatus } from '../api/rollout-status.ts';
import { hash64 } from './hash.ts';
import { points } from './splitter.ts';

/** What became of the copies of requests that one canary was given in one attempt. Cumulative; sums can be added up. */
export type CopyCounts = {
  /** Copies that it answered or failed to answer. */
  readonly requests: number;
  readonly failed: number;
  /** Copies that it was not given, or that gave way to requests of clients. */
  readonly dropped: number;
  /** Pairs of answers that could be compared: not those sampled by chance. */
  readonly compared: number;
  readonly equal: number;
  /** Sum of the similarities, each from 0 to 1. */
  readonly similarity: number;
  /** Pairs of answers whose time to the first token is known of both, and the sums of these times in milliseconds. */
  readonly timed: number;
  readonly stableMs: number;
  readonly canaryMs: number;
};

export const noCopyCounts: CopyCounts = {
  requests: 0,
  failed: 0,
  dropped: 0,
  compared: 0,
  equal: 0,
  similarity: 0,
  timed: 0,
  stableMs: 0,
  canaryMs: 0,
};

export const addCopyCounts = (a: CopyCounts, b: Partial<CopyCounts>): CopyCounts => ({
  requests: a.requests + (b.requests ?? 0),
  failed: a.failed + (b.failed ?? 0),
  dropped: a.dropped + (b.dropped ?? 0),
  compared: a.compared + (b.compared ?? 0),
  equal: a.equal + (b.equal ?? 0),
  similarity: a.similarity + (b.similarity ?? 0),
  timed: a.timed + (b.timed ?? 0),
  stableMs: a.stableMs + (b.stableMs ?? 0),
  canaryMs: a.canaryMs + (b.canaryMs ?? 0),
});

/**
 * Whether the canary gets a copy of a request: by the request's own id and the seed of the canary's split, with a salt, so
 * that it does not depend on who asks. Nobody sees the copy's answer: there is nothing that a caller could keep.
 */
export const isMirrored = (seed: string, requestId: string, percent: number): boolean =>
  Number(hash64(`mirror\0${requestId}`, BigInt(`0x${seed}`)) % BigInt(points)) < percent * (points / 100);

/** Growth of a count, and difference of a ratio, from which on a status is worth to be written anew. */
const minGrowth = 1.1;
const minDifference = 0.01;

const ratio = (part: number, whole: number): number => Math.round((1000 * part) / whole) / 1000;

/**
 * Counts as a status says them; undefined without any. The very object `before` while they differ little from it: steady
 * traffic must not make writes.
 */
export const mirrorStatusOf = (
  counts: CopyCounts,
  before: MirrorStatus | undefined,
): MirrorStatus | undefined => {
  const { requests, failed, dropped, compared, equal, similarity, timed, stableMs, canaryMs } = counts;
  if (requests + dropped === 0) return undefined;
  const now: MirrorStatus = {
    requests,
    failed,
    dropped,
    compared,
    ...(compared === 0
      ? {}
      : { equal: ratio(equal, compared), similarity: ratio(Math.min(similarity, compared), compared) }),
    ...(timed === 0 || stableMs <= 0 ? {} : { latencyRatio: ratio(canaryMs, stableMs) }),
  };
  return before !== undefined && isSteady(before, now) ? before : now;
};

const grew = (before: number, now: number): boolean => now < before || now > before * minGrowth;
const moved = (before: number | undefined, now: number | undefined): boolean =>
  before === undefined || now === undefined ? before !== now : Math.abs(before - now) >= minDifference;

const isSteady = (before: MirrorStatus, now: MirrorStatus): boolean =>
  !(
    before.failed !== now.failed ||
    grew(before.requests, now.requests) ||
    grew(before.dropped, now.dropped) ||
    grew(before.compared, now.compared) ||
    moved(before.equal, now.equal) ||
    moved(before.similarity, now.similarity) ||
    moved(before.latencyRatio, now.latencyRatio)
  );
