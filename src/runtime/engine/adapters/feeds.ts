import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { WeightsInMemory } from '../../compiled/memory-layout.ts';
import type { PointerTable } from '../ort/memory.ts';
import type { Pairs } from './pairs.ts';

/**
 * Everything that one adapter feeds, built once. Only the session that made it takes it: it has that session's inputs, position by
 * position.
 */
export type Feeds = {
  /** The session that made it. */
  readonly maker: object;
  /** Inputs of each step, which it fills, and behind them those of adapters. */
  readonly values: PointerTable;
  /** Before a step of so many rows, which all have this adapter. */
  readonly rows: (count: number) => void;
  /** Between steps only. */
  readonly release: () => void;
};

/** How a graph takes adapters. */
export type LoraWay = {
  /** Inputs of the graph, in the order in which they are fed behind its others. */
  readonly names: readonly string[];
  /** How weights have to be in memory: as they are stored, or widened. */
  readonly weights: WeightsInMemory;
  /**
   * Feeds of an adapter for `maker`, behind `before` places that each step fills.
   * @throws INTERNAL when a pair fits no linear
   */
  readonly feeds: (maker: object, before: number, pairs: Pairs) => Feeds;
  /** Feeds of rows with an adapter of each; undefined where all rows have the same. */
  readonly mixed: ((maker: object, before: number) => MixedFeeds) | undefined;
  readonly release: () => void;
};

/** Rows with an adapter of each. */
export type MixedFeeds = {
  /** Feeds of the same session; null and undefined: none. They are valid until the next call. */
  readonly of: (rows: readonly (Feeds | null | undefined)[]) => Feeds;
  readonly release: () => void;
};

/**
 * Feeds of another graph would land in other inputs.
 * @throws INTERNAL
 */
export const checkMaker = (feeds: Feeds, session: object): void => {
  if (feeds.maker === session) return;
  throw new AdaptletError('INTERNAL', 'The feeds are of another session');
};

/** What makes feeds: a graph that takes adapters. */
export type FeedMaker = {
  readonly weights: WeightsInMemory;
  readonly feeds: (pairs: Pairs) => Feeds;
};
