import type { Clock } from '../../../time/clock.ts';
import type { Operator } from '../ort/operator.ts';
import type { ProviderWish } from '../session/choose-provider.ts';

/** How a base model of any task is opened. */
export type ModelOptions = ProviderWish & {
  /** Its graph, relative to its folder. Absent: model.onnx, or the only one. */
  readonly modelFile?: string | undefined;
  /** Folder for what is made once per base model: its digest, its optimised graph, verdicts of proofs. */
  readonly cacheDir: string;
  /** Bytes that `cacheDir` may have by the disk budget, with what is there: the constants of a graph that is optimised anew are not written where they are beyond it. Absent: no bound. */
  readonly cacheRoomBytes?: number | undefined;
  readonly threads: number;
  readonly spin?: boolean;
  /** Absent: adapters come in the portable way. */
  readonly operator?: Operator | undefined;
  readonly clock: Clock;
  /** Told what does not stop the engine but costs something. */
  readonly warn: (message: string) => void;
  /** Told what takes time while the model is opened, before it is done. */
  readonly doing: (what: string) => void;
  readonly signal: AbortSignal;
};

/** What every host is given. */
export type HostOptions = {
  /** Requests that run, and requests that wait. */
  readonly maxConcurrent: number;
  readonly maxQueue: number;
  readonly clock: Clock;
};

/** Of a host that takes adapters. */
export type AdapterOptions = {
  readonly adapterBudgetBytes: number;
};

/** Of a host that runs rows of several requests together, each once. */
export type BatchOptions = {
  /** Rows of one run. 1: every request by itself. */
  readonly maxBatch: number;
  /** Milliseconds that a row may wait for others. */
  readonly maxBatchDelayMs: number;
};
