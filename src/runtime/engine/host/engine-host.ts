import type { EngineInfo, EngineLoad, ProbeResult } from '../engine.ts';
import type { Host } from '../generate/generate-host.ts';
import type { EncodeInput, EncodeResult, InferInput, InferResult } from '../tasks.ts';

/** A base model of any task within the engine process. What is absent it does not do. */
export type EngineHost = {
  readonly info: EngineInfo;
  load(name: string, file: string): Promise<{ readonly bytes: number; readonly ms: number }>;
  unload(name: string): Promise<void>;
  probe(name: string): Promise<ProbeResult>;
  generate?: Host['generate'];
  taken?: Host['taken'];
  encode?(id: number, input: EncodeInput): Promise<EncodeResult>;
  infer?(id: number, input: InferInput): Promise<InferResult>;
  /** What it does at the moment; absent where nothing decodes. */
  readonly now?: () => EngineLoad;
  /** The caller of this request left. */
  cancel(id: number): void;
  close(): Promise<void>;
};
