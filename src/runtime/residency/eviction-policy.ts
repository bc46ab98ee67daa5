/** An adapter in RAM, or an artifact on the disk, that could leave. */
export type Evictable = {
  readonly key: string;
  /** Of the budget that it leaves. */
  readonly bytes: number;
  /** Expected milliseconds until it would serve again. */
  readonly reloadMs: number;
};

/** Of one adapter: count, rate, last use, what had faded at it, and up to when its absence is counted. */
type History = readonly [count: number, rate: number, last: number, lastFade: number, counted: number];

/** What a policy knows of uses, for the next process. Time is counted in uses: no clock has a part in it. */
export type PolicyMemory = {
  readonly now: number;
  readonly fade: number;
  readonly fadePerUse: number;
  readonly came: readonly number[];
  readonly foretold: readonly number[];
  /** As the keys that were asked for; null: nothing is known of it. */
  readonly histories: readonly (History | null)[];
};

/**
 * Which adapter is worth its place in RAM, or on the disk, least. The last word only: what is protected, in use or of higher
 * priority is decided before. Pure but for what it remembers of the uses it was told; memory is bounded.
 */
export type EvictionPolicy = {
  /** A request begins to use the adapter, which is or was just brought here. */
  used(key: string): void;
  /** Room is about to be made where so many adapters are now. */
  divided(adapters: number): void;
  /** The lowest leaves first; of equals the least recently used. A newcomer may be worth less than all others. */
  worth(adapter: Evictable): number;
  /** What is known of these, the least recently used first; undefined where nothing is. */
  memoryOf(keys: readonly string[]): PolicyMemory | undefined;
};

/** Milliseconds of a load whatever its size, and for a byte of RAM more, as bench `cold` measures them. */
const fixedMs = 5;
const msPerByte = 0.75e-6;

/**
 * Expected time from Compiled to Resident. A model and not what was measured of the adapter: one that happened to be
 * loaded while the node was busy is not worth more. Only proportions count. What left RAM is always Compiled, so that
 * nothing is fetched again for it.
 */
export const reloadMs = (bytes: number): number => fixedMs + msPerByte * bytes;

/** Milliseconds until an artifact is compiled, whatever its size; of one from a network more: asking, and a link of 100 Mbit/s. */
const compileMs = 200;
const askMs = 200;
const linkMsPerByte = 80e-6;

/**
 * Expected time from Remote to Compiled: a model, as {@link reloadMs} is. `isLocal`: it is copied from a folder of this node.
 */
export const refetchMs = (bytes: number, isLocal: boolean): number =>
  compileMs + (isLocal ? 0 : askMs + linkMsPerByte * bytes);
