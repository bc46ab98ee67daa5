import type {
  EngineInfo,
  EngineLoad,
  GenerateEvent,
  GenerateInput,
  MemoryLimits,
  ProbeResult,
} from '../engine.ts';
import type { EncodeInput, EncodeResult, InferInput, InferResult } from '../tasks.ts';
import type { StepClock } from './step-clock.ts';

/** How a request of `generate` ended: complete, cancelled, or with an error. */
export type Ending =
  | { readonly kind: 'complete' | 'cancelled' }
  | { readonly kind: 'failed'; readonly error: unknown };

/** A base model of any task within the engine process. What is absent it does not do. */
export type EngineHost = {
  readonly info: EngineInfo;
  load(name: string, file: string): Promise<{ readonly bytes: number; readonly ms: number }>;
  unload(name: string): Promise<void>;
  probe(name: string): Promise<ProbeResult>;
  /**
   * Admits a request; its events follow, then `ended` is called once. Errors, before anything ran: REQUEST_INVALID,
   * PROMPT_TOO_LONG, ADAPTER_NOT_AVAILABLE, QUEUE_FULL.
   */
  generate?(
    id: number,
    input: GenerateInput,
    emit: (event: GenerateEvent) => void,
    ended: (ending: Ending) => void,
  ): void;
  /** The caller of this request took so many token events. */
  taken?(id: number, events: number): void;
  encode?(id: number, input: EncodeInput): Promise<EncodeResult>;
  infer?(id: number, input: InferInput): Promise<InferResult>;
  /** What it does at the moment; absent where nothing decodes. */
  readonly now?: () => EngineLoad;
  /** Takes no more than that from now on, and lets go of what is kept beyond it, after the present step. */
  limit?(limits: MemoryLimits): void;
  readonly steps: StepClock;
  /** The caller of this request left. */
  cancel(id: number): void;
  close(): Promise<void>;
};
