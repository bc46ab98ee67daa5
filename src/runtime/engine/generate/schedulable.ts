import type { Ending } from '../host/engine-host.ts';
import type { Flow } from '../schedule/fair-queue.ts';
import type { Outcome } from './running-batch.ts';

/** What the scheduler needs of a sequence. */
export type Schedulable = {
  readonly id: number;
  readonly flow: Flow;
  /** Tokens that steps have still to take: one while it decodes. */
  readonly pending: number;
  /** Steps do more for each token of its prompt than for others. Absent: false. */
  readonly isScored?: boolean;
  readonly cancelled: boolean;
  /** False while its caller does not take events. */
  readonly runnable: boolean;
  /** RAM of adapters that were loaded for requests of its namespace before it. Absent: 0. */
  readonly loadedBytes?: number;
  cancel(): void;
  taken(events: number): void;
};

/** A sequence that waits or runs. */
export type Entry<S> = {
  readonly flow: Flow;
  readonly sequence: S;
  readonly ended: (ending: Ending) => void;
  /** Tokens since it got its place. */
  tokens: number;
  /** Tokens that were pending when a piece of its prompt made way; the same piece does so once. */
  gaveWayAt?: number;
};

/** Where sequences run. See `RunningBatch`. One that cannot pause a sequence has room for it to grow. */
export type Batch<S> = {
  place(sequence: S): boolean;
  grow(sequence: S): boolean;
  leave(sequence: S, areGood: boolean): void;
  fitsWithout(sequence: S, others: readonly S[]): boolean;
  fitsBeside(sequence: S, others: readonly S[]): boolean;
  kvBytes(sequence: S): number;
  isOwed(sequence: S): boolean;
  pause(sequence: S): boolean;
  reuse(sequence: S): void;
  interrupt(sequence: S): void;
  fill(sequence: S, max: number): Promise<Outcome>;
  decode(sequences: readonly S[]): Promise<ReadonlyMap<S, Outcome>>;
};
