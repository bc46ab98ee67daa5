import { defineErrors } from './define.ts';

/** The base model and the engine process. */
export const engineErrors = defineErrors({
  ENGINE_DOWN: {
    summary: 'The engine process ended while the request ran.',
    advice: 'Send the request again: the engine restarts by itself within seconds.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
  MODEL_FILE_MISSING: {
    summary: 'The folder of the base model lacks a file.',
    advice: 'Give a folder as the model builder of ONNX Runtime GenAI writes it.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  MODEL_INVALID: {
    summary: 'A file of the base model is damaged or not what its name says.',
    advice: 'Copy or export the base model again.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  MODEL_UNSUPPORTED: {
    summary: 'The base model has a form that adapters cannot be added to.',
    advice:
      'Export it with the model builder of ONNX Runtime GenAI, in float32 or int4, with fuse_qkv=false and without LoRA inputs.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  MODEL_WIRING_BROKEN: {
    summary: 'An adapter would have no effect on a linear of the base model.',
    advice: 'Please report it with the name of the base model and of the exporter.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  COMPILED_FILE_CORRUPT: {
    summary: 'The compiled form of an adapter is damaged.',
    advice: 'It is built again from the stored artifact; check the disk when this repeats.',
    grpc: 'DATA_LOSS',
    retry: 'Backoff',
  },
  COMPILED_FILE_STALE: {
    summary: 'The compiled form of an adapter was made for another base model or engine version.',
    advice: 'It is built again from the stored artifact.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  ADAPTER_MEMORY_FULL: {
    summary: 'The memory for adapters has no room for one more.',
    advice: 'Raise the memory budget of the runtime, or unpin or evict an adapter.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'Backoff',
  },
  PROMPT_TOO_LONG: {
    summary: 'Prompt and answer together do not fit the context of the base model.',
    advice: 'Shorten the prompt or ask for fewer tokens.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  LOGITS_NOT_FINITE: {
    summary: 'The model computed NaN or infinity instead of an answer.',
    advice: 'Roll the adapter back; the message names it.',
    grpc: 'INTERNAL',
    retry: 'Never',
  },
});
