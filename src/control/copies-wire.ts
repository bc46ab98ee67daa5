import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Mirror } from '../gen/adaptlet/control/v1/control.ts';
import { type CopyCounts, noCopyCounts } from '../rollout/copies.ts';

/** What a runtime reports of mirroring: the percentage of its plan, and what became of copies. */
export type CopyReport = CopyCounts & { readonly percentage: number };

/** Of sums: far from every real one, and so that sums over any fleet stay finite. */
const largest = 1e100;

const count = (value: bigint): number => Math.min(Number(value), Number.MAX_SAFE_INTEGER);
const isSum = (value: number): boolean => value >= 0 && value <= largest;

/** Undefined when nothing is or was mirrored. */
export const copiesToWire = (percentage: number, counts: CopyCounts | undefined): Mirror | undefined => {
  if (percentage === 0 && counts === undefined) return undefined;
  const { requests, failed, dropped, compared, equal, timed, ...sums } = counts ?? noCopyCounts;
  return {
    percentage,
    requests: BigInt(requests),
    failed: BigInt(failed),
    dropped: BigInt(dropped),
    compared: BigInt(compared),
    equal: BigInt(equal),
    timed: BigInt(timed),
    ...sums,
  };
};

/**
 * Numbers above 2^53 lose their last digits.
 * @throws HELLO_INVALID for what no runtime counts
 */
export const copiesFromWire = ({
  percentage,
  similarity,
  stableMs,
  canaryMs,
  ...wire
}: Mirror): CopyReport => {
  const [requests, failed, dropped] = [count(wire.requests), count(wire.failed), count(wire.dropped)];
  const [compared, equal, timed] = [count(wire.compared), count(wire.equal), count(wire.timed)];
  const isPossible =
    percentage <= 100 &&
    failed + Math.max(compared, timed) <= requests &&
    equal <= compared &&
    // A sum of similarities may end up above the number of them by what rounding makes.
    isSum(similarity) &&
    similarity <= compared * (1 + 1e-9) &&
    isSum(stableMs) &&
    isSum(canaryMs);
  if (!isPossible)
    throw new AdaptletError('HELLO_INVALID', 'a report has counts of mirroring that cannot be');
  return {
    percentage,
    requests,
    failed,
    dropped,
    compared,
    equal,
    similarity,
    timed,
    stableMs,
    canaryMs,
  };
};
