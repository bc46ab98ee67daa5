import type { Digest } from '../../api/names.ts';
import type { EngineInfo } from '../engine/engine.ts';

export type CompiledAdapter = {
  readonly file: string;
  /** Of the file. */
  readonly bytes: number;
  /** In the memory of the engine, where every value is float32: what the RAM budget is charged. */
  readonly ramBytes: number;
  readonly rank: number;
  readonly targetModules: readonly string[];
  /** Of an adapter that classifies. */
  readonly labels?: readonly string[];
};

/** Reads, validates and converts an adapter off the serving thread. Implemented in src/runtime/adapter. */
export type Compiler = {
  /**
   * Uses the compiled file that is there when it is intact; else calls `verify` and makes it from the folder. Errors:
   * the adapter part of the catalogue, those of `verify`.
   */
  compile(
    adapter: {
      readonly digest: Digest;
      readonly folder: string;
      readonly verify: (signal: AbortSignal) => Promise<void>;
    },
    info: EngineInfo,
    signal: AbortSignal,
  ): Promise<CompiledAdapter>;
  /** Deletes the compiled files of an adapter. */
  remove(digest: Digest): Promise<void>;
};

/** Passed probes and smoke tests, so that a reload does not run them again. Only what passed is kept. */
export type Verdicts = {
  get(key: string): string | undefined;
  set(key: string, value: string): Promise<void>;
};

/** Which digest the source of an Adapter (by uid) resolved to. Fixed for the life of the uid. */
export type Resolutions = {
  get(uid: string): Digest | undefined;
  /** Resolves once it survives a restart. */
  set(uid: string, digest: Digest): Promise<void>;
  /** The uid is gone from the plan. */
  forget(uid: string): Promise<void>;
};
