import type { ObjectKey } from '../../api/names.ts';
import type { AdapterState, RolloutState } from './fleet.ts';
import { sizeOfAdapter } from './size.ts';

/** Objects whose values are remembered, in each of two generations. */
const generation = 65_536;
/** Different states of one adapter that are remembered: the usual ones, and some messages. */
const maxStates = 8;

/** Bytes of them, as they would be on the wire: more than 65,536 usual ones take. */
const generationBytes = 32 << 20;

type Known<T> = { readonly key: ObjectKey; readonly states: T[]; bytes: number };

/**
 * Finds what was told before. Nearly all runtimes say the same of an adapter: its state is one object for all of them, and
 * its key, digest and module names are there once.
 *
 * Bounded: what was not told again for a whole generation is forgotten here, and then costs another copy.
 */
class Pool<T> {
  readonly #sizeOf: (key: ObjectKey, state: T) => number;
  #young = new Map<ObjectKey, Known<T>>();
  #youngBytes = 0;
  #old = new Map<ObjectKey, Known<T>>();

  constructor(sizeOf: (key: ObjectKey, state: T) => number) {
    this.#sizeOf = sizeOf;
  }

  of(key: ObjectKey): Known<T> {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const known = this.#old.get(key) ?? { key, states: [], bytes: 0 };
    if (this.#young.size >= generation || this.#youngBytes >= generationBytes) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(known.key, known);
    this.#youngBytes += known.bytes;
    return known;
  }

  /** Remembers another state of what `of` found last. */
  keep(known: Known<T>, state: T): void {
    const gone = known.states.push(state) > maxStates ? known.states.shift() : undefined;
    const bytes = this.#sizeOf(known.key, state) - (gone === undefined ? 0 : this.#sizeOf(known.key, gone));
    known.bytes += bytes;
    this.#youngBytes += bytes;
  }
}

const noHolds: RolloutState['holds'] = Object.freeze([]);
const noCounts: RolloutState['counts'] = Object.freeze([]);

/** What of a rollout runtimes say alike. */
type Arms = Pick<RolloutState, 'uid' | 'stableDigest' | 'canaryDigest'>;

/** Values of the reports of all runtimes, each as few times as it may be. */
export class SharedStates {
  readonly #adapters = new Pool<AdapterState>(sizeOfAdapter);
  readonly #rollouts = new Pool<Arms>(
    (key, { uid, stableDigest, canaryDigest }) =>
      64 + key.length + uid.length + stableDigest.length + canaryDigest.length,
  );

  /** The same key and state, as objects that others have as well. */
  adapter(told: ObjectKey, state: AdapterState): readonly [ObjectKey, AdapterState] {
    const known = this.#adapters.of(told);
    const { key, states } = known;
    const same = states.find((each) => isSame(each, state));
    if (same !== undefined) return [key, same];
    const like = states.find(({ uid, digest }) => uid === state.uid && digest === state.digest);
    const [modules] = states.flatMap(({ targetModules }) =>
      isSameList(targetModules, state.targetModules) ? [targetModules] : [],
    );
    const { uid, digest } = like ?? state;
    const shared = { ...state, uid, digest, targetModules: modules ?? state.targetModules };
    this.#adapters.keep(known, shared);
    return [key, shared];
  }

  /** What is counted is each runtime's own; whose canary it is about is not. */
  rollout(told: ObjectKey, state: RolloutState): readonly [ObjectKey, RolloutState] {
    const known = this.#rollouts.of(told);
    const { key, states } = known;
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
    if (like === undefined) this.#rollouts.keep(known, { uid, stableDigest, canaryDigest });
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
