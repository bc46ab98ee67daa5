import type { Standing } from './histories.ts';

/** An answer of a real node to a stable name. Times are those of the story. */
export type Answer = {
  readonly node: number;
  /** Which process of the node. */
  readonly life: number;
  readonly user: string;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly arm: string;
  readonly digest: string;
  readonly text: string;
};

/** What is known of a name when an answer is judged. */
export type Known = {
  /** Its standings that the node may have followed when it answered. */
  readonly standings: readonly Standing[];
  /** Whether these are all of them. */
  readonly isWhole: boolean;
  /** Digests that the name may ever have. */
  readonly own: ReadonlySet<string>;
  /** Text by digest. */
  readonly texts: ReadonlyMap<string, string>;
};

/** Why a digest is none that the name had; undefined: it had it. */
export const wrongDigest = (
  { arm, digest }: Answer,
  { standings, isWhole, own }: Known,
): string | undefined => {
  if (!own.has(digest)) return `${digest} is of no version of this name`;
  if (arm !== 'stable' && arm !== 'canary') return `the arm is ${arm}`;
  const allowed = standings.map((standing) => standing[arm]);
  return !isWhole || allowed.includes(digest)
    ? undefined
    : `${digest} was not ${arm}: of ${standings.length} standings ${[...new Set(allowed)].join(', ')}`;
};

export const wrongText = ({ digest, text }: Answer, { texts }: Known): string | undefined => {
  const expected = texts.get(digest);
  return expected === undefined || expected === text
    ? undefined
    : `${JSON.stringify(text)} instead of ${JSON.stringify(expected)} of ${digest}`;
};

/** Whether the weight of this canary never fell in these standings, and it was not given up. */
const onlyRises = (standings: readonly Standing[], canary: string): boolean =>
  standings.every(({ stable, canary: bound, weight, attempt }, i) => {
    const former = standings[i - 1];
    if (former === undefined) return true;
    // It became stable: that keeps everybody.
    if (stable === canary) return true;
    return bound === canary && attempt === former.attempt && weight >= former.weight;
  });

/**
 * Why a user who had the canary must still have it: both answers are of one process, `between` are the standings that it
 * may have followed from the first to the second.
 */
export const lostArm = (
  first: Answer,
  second: Answer,
  { standings, isWhole }: Pick<Known, 'standings' | 'isWhole'>,
): string | undefined => {
  if (first.arm !== 'canary' || second.digest === first.digest || !isWhole) return undefined;
  const from = standings.findIndex(({ canary }) => canary === first.digest);
  if (from === -1 || !onlyRises(standings.slice(from), first.digest)) return undefined;
  // The canary became stable, and the next one has this user.
  const isNext = standings.some(({ stable, canary }) => stable === first.digest && canary === second.digest);
  if (isNext && second.arm === 'canary') return undefined;
  return `${second.user} had the canary ${first.digest} and then ${second.arm} ${second.digest}`;
};
