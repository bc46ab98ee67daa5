import type { ObjectKey } from '../../api/names.ts';
import type { AdapterState, RolloutState } from './fleet.ts';

/** Objects whose values are remembered, in each of two generations. */
const generation = 65_536;
/** Different states of one adapter that are remembered: the usual ones, and some messages. */
const maxStates = 8;

type Known<T> = { readonly key: ObjectKey; readonly states: T[] };

/**
 * Finds what was told before. Nearly all runtimes say the same of an adapter: its state is one object for all of them, and
 * its key, digest and module names are there once.
 *
 * Bounded: what was not told again for a whole generation is forgotten here, and then costs another copy.
 */
class Pool<T> {
  #young = new Map<ObjectKey, Known<T>>();
  #old = new Map<ObjectKey, Known<T>>();

  of(key: ObjectKey): Known<T> {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const known = this.#old.get(key) ?? { key, states: [] };
    if (this.#young.size >= generation) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(known.key, known);
    return known;
  }
}

const noHolds: RolloutState['holds'] = Object.freeze([]);
const noCounts: RolloutState['counts'] = Object.freeze([]);

/** Values of the reports of all runtimes, each as few times as it may be. */
export class SharedStates {
  readonly #adapters = new Pool<AdapterState>();
  readonly #rollouts = new Pool<RolloutState>();

  /** The same key and state, as objects that others have as well. */
  adapter(told: ObjectKey, state: AdapterState): readonly [ObjectKey, AdapterState] {
    const { key, states } = this.#adapters.of(told);
    const same = states.find((known) => isSame(known, state));
    if (same !== undefined) return [key, same];
    const like = states.find(({ uid, digest }) => uid === state.uid && digest === state.digest);
    const [modules] = states.flatMap(({ targetModules }) =>
      isSameList(targetModules, state.targetModules) ? [targetModules] : [],
    );
    const { uid, digest } = like ?? state;
    const shared = { ...state, uid, digest, targetModules: modules ?? state.targetModules };
    if (states.push(shared) > maxStates) states.shift();
    return [key, shared];
  }

  /** What is counted is each runtime's own; whose canary it is about is not. */
  rollout(told: ObjectKey, state: RolloutState): readonly [ObjectKey, RolloutState] {
    const { key, states } = this.#rollouts.of(told);
    const like = states.find(
      ({ uid, stableDigest, canaryDigest }) =>
        uid === state.uid && stableDigest === state.stableDigest && canaryDigest === state.canaryDigest,
    );
    const { uid, stableDigest, canaryDigest } = like ?? state;
    const { holds, counts, ...rest } = state;
    const shared: RolloutState = {
      ...rest,
      uid,
      stableDigest,
      canaryDigest,
      holds: holds.length === 0 ? noHolds : holds,
      counts: counts.length === 0 ? noCounts : counts,
    };
    // Its counts would be kept for nothing.
    if (like === undefined && states.push({ ...shared, counts: noCounts }) > maxStates) states.shift();
    return [key, shared];
  }
}

const isSame = (a: AdapterState, b: AdapterState): boolean =>
  a === b ||
  (a.state === b.state &&
    a.digest === b.digest &&
    a.uid === b.uid &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.isFinal === b.isFinal &&
    a.inTurn === b.inTurn &&
    a.storedBytes === b.storedBytes &&
    a.residentBytes === b.residentBytes &&
    a.neededBytes === b.neededBytes &&
    a.rank === b.rank &&
    isSameList(a.targetModules, b.targetModules));

const isSameList = (a: readonly string[], b: readonly string[]): boolean =>
  a === b || (a.length === b.length && a.every((each, index) => each === b[index]));
