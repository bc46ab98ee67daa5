import type { ObjectKey } from '../../api/names.ts';
import type { RolloutState } from './fleet.ts';

/** Rollouts whose values are remembered, in each of two generations. */
const generation = 65_536;
/** Different states of one rollout that are remembered. */
const maxStates = 8;
/** Bytes of them, as they would be on the wire: more than 65,536 usual ones take. */
const generationBytes = 32 << 20;

/** `states`: as of runtimes that counted nothing and hold nothing back. */
type Known = { readonly key: ObjectKey; readonly states: RolloutState[]; bytes: number };

const noHolds: RolloutState['holds'] = Object.freeze([]);
const noCounts: RolloutState['counts'] = Object.freeze([]);
const noneServed: RolloutState['served'] = Object.freeze({ stable: 0, canary: 0 });

/**
 * Finds what was told of rollouts before: a state in which nothing is counted is one object for all runtimes, and keys, uids
 * and digests are there once in any case.
 *
 * Bounded: what was not told again for a whole generation is forgotten here, and then costs another copy.
 */
export class SharedRollouts {
  #young = new Map<ObjectKey, Known>();
  #youngBytes = 0;
  #old = new Map<ObjectKey, Known>();
  #oldBytes = 0;

  /** What is remembered, as it would be on the wire. */
  get bytes(): number {
    return this.#youngBytes + this.#oldBytes;
  }

  /** The same key and state, of values that others have as well. */
  of(told: ObjectKey, state: RolloutState): readonly [ObjectKey, RolloutState] {
    const known = this.#known(told);
    const { key, states } = known;
    const same = states.find((one) => isSameArms(one, state) && isSameStep(one, state));
    const isBare = countsNothing(state);
    if (same !== undefined && isBare) return [key, same];
    const { uid, stableDigest, canaryDigest } = same ?? states.find((one) => isSameArms(one, state)) ?? state;
    const { holds, counts } = state;
    const shared: RolloutState = {
      ...state,
      uid,
      stableDigest,
      canaryDigest,
      holds: holds.length === 0 ? noHolds : holds,
      counts: counts.length === 0 ? noCounts : counts,
    };
    if (same === undefined) this.#keep(known, isBare ? shared : bareOf(shared));
    return [key, shared];
  }

  #known(key: ObjectKey): Known {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const known = this.#old.get(key) ?? { key, states: [], bytes: 0 };
    if (this.#young.size >= generation || this.#youngBytes >= generationBytes) {
      this.#old = this.#young;
      this.#oldBytes = this.#youngBytes;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(known.key, known);
    this.#youngBytes += known.bytes;
    return known;
  }

  #keep(known: Known, state: RolloutState): void {
    const gone = known.states.push(state) > maxStates ? known.states.shift() : undefined;
    const bytes = sizeOf(known.key, state) - (gone === undefined ? 0 : sizeOf(known.key, gone));
    known.bytes += bytes;
    this.#youngBytes += bytes;
  }
}

const isSameArms = (a: RolloutState, b: RolloutState): boolean =>
  a.uid === b.uid && a.stableDigest === b.stableDigest && a.canaryDigest === b.canaryDigest;

const isSameStep = (a: RolloutState, b: RolloutState): boolean =>
  a.attempt === b.attempt && a.weight === b.weight && a.effectiveWeight === b.effectiveWeight;

const countsNothing = ({ served, holds, counts, elsewhere, mirror }: RolloutState): boolean =>
  served.stable === 0 &&
  served.canary === 0 &&
  holds.length === 0 &&
  counts.length === 0 &&
  elsewhere === undefined &&
  mirror === undefined;

const bareOf = (state: RolloutState): RolloutState => {
  const { mirror: _, elsewhere: _told, ...rest } = state;
  return { ...rest, served: noneServed, holds: noHolds, counts: noCounts };
};

const sizeOf = (key: ObjectKey, { uid, stableDigest, canaryDigest }: RolloutState): number =>
  96 + key.length + uid.length + stableDigest.length + canaryDigest.length;
