/** What a guard counts of one side. */
export type ArmCounts = {
  /** Requests that ended with a verdict on the adapter. */
  readonly ended: number;
  readonly errors: number;
  /** Requests whose latency is known. */
  readonly timed: number;
  /** Of those the ones above the limit. */
  readonly slow: number;
};

type Bucket = { readonly number: number; readonly canary: ArmCounts; readonly stable: ArmCounts };

/** The counts of the last while, in a ring of a few buckets: its size does not depend on the load. */
export type GuardWindow = {
  readonly bucketMs: number;
  /** Oldest first. */
  readonly buckets: readonly Bucket[];
};

/** Buckets of a window: it reaches back by eleven twelfths of its length at least, and never by more than all of it. */
export const bucketsPerWindow = 12;

const nothing: ArmCounts = { ended: 0, errors: 0, timed: 0, slow: 0 };

export const newWindow = (windowMs: number): GuardWindow => ({
  bucketMs: windowMs / bucketsPerWindow,
  buckets: [],
});

const plus = (a: ArmCounts, b: ArmCounts): ArmCounts => ({
  ended: a.ended + b.ended,
  errors: a.errors + b.errors,
  timed: a.timed + b.timed,
  slow: a.slow + b.slow,
});

/** Adds counts at a monotonic time, and drops what has left the window by then. */
export const addCounts = (
  { bucketMs, buckets }: GuardWindow,
  arm: 'canary' | 'stable',
  counts: Partial<ArmCounts>,
  atMs: number,
): GuardWindow => {
  const number = Math.floor(atMs / bucketMs);
  const kept = buckets.filter((bucket) => bucket.number > number - bucketsPerWindow);
  const last = kept.at(-1);
  const current = last?.number === number ? last : { number, canary: nothing, stable: nothing };
  const before = current === last ? kept.slice(0, -1) : kept;
  const added = { ...current, [arm]: plus(current[arm], { ...nothing, ...counts }) };
  return { bucketMs, buckets: [...before, added] };
};

/** Sums over the buckets that there are: those of the last `addCounts`. */
export const countsOf = ({ buckets }: GuardWindow, arm: 'canary' | 'stable'): ArmCounts =>
  buckets.reduce((sum, bucket) => plus(sum, bucket[arm]), nothing);
