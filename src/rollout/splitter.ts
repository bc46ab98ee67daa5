import type { Digest } from '../api/names.ts';
import type { HashOn } from '../api/rollout.ts';
import { hash64, hash64Hex } from './hash.ts';

/** Who asks, as far as a split is concerned. `requestId` differs from request to request. */
export type SplitKeys = {
  readonly user?: string | undefined;
  readonly session?: string | undefined;
  readonly requestId: string;
};

/** A key falls on one of so many points; one percent of weight owns 10,000 of them. */
export const points = 1_000_000;

/**
 * Seed of a canary's split, 16 hexadecimal digits. Made once when the canary is bound and stored in the status: it does
 * not change while the weight does, and the next canary meets other users first.
 */
export const seedOf = (namespace: string, name: string, canaryDigest: Digest): string =>
  hash64Hex(`${namespace}/${name}\0${canaryDigest}`);

/** Where a key falls, 0 to 999,999: xxHash64 of the key, seeded, modulo {@link points}. `seed`: 16 hexadecimal digits. */
export const pointOf = (seed: string, key: string): number =>
  Number(hash64(key, BigInt(`0x${seed}`)) % BigInt(points));

/**
 * The arm that a key belongs to: the canary owns the points below its weight. A higher weight therefore only moves keys
 * from stable to the canary. Weight 0 gives the canary nobody and 100 everybody. The same in every runtime and in the CLI.
 */
export const armOf = (seed: string, key: string, weightPercent: number): 'stable' | 'canary' =>
  pointOf(seed, key) < weightPercent * (points / 100) ? 'canary' : 'stable';

/** What keeps a request on its side. The chain User, Session, Request starts at `hashOn`; an empty value counts as absent. */
export const keyOf = (hashOn: HashOn, { user, session, requestId }: SplitKeys): string => {
  const sticky = { User: [user, session], Session: [session], Request: [] }[hashOn];
  return sticky.find((value) => value !== undefined && value !== '') ?? requestId;
};
