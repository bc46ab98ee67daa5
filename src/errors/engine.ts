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
    advice: 'Copy the file that the message names into the folder, or export the base model again.',
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
    summary:
      'The base model has a form that adapters cannot be added to, or whose answers cannot be shown to be right.',
    advice:
      'Export it with the model builder of ONNX Runtime GenAI, in float32 or int4, or with optimum in float32, without LoRA inputs.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  MODEL_WIRING_BROKEN: {
    summary: 'An adapter would have no effect on a linear of the base model.',
    advice: 'Please report it with the name of the base model and of the exporter.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  PROVIDER_NOT_AVAILABLE: {
    summary: 'No execution provider that was required works on this machine.',
    advice:
      'Check the device, its plugin and its libraries in the container, name other providers, or set requireProvider to false to run on the CPU.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ONNX_RUNTIME_INVALID: {
    summary: 'The library that is to be ONNX Runtime cannot be used.',
    advice:
      'Let onnxRuntimeLibrary name a libonnxruntime of version 1.22 or newer for this system, with the libraries that it needs beside it, or remove the setting.',
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
    advice: 'Raise --adapter-memory (`runtime.adapters.memory` of the chart), or unpin or evict an adapter.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'Backoff',
  },
  PROMPT_TOO_LONG: {
    summary: 'Prompt and answer together do not fit the context of the base model.',
    advice: 'Shorten the prompt or ask for fewer tokens.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  TASK_UNSUPPORTED: {
    summary: 'The base model cannot do what the request asks for.',
    advice: 'Use the calls that the message names, or a node whose base model does it.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  CLASSIFIER_MISSING: {
    summary: 'A classification is asked of something that has no classification head.',
    advice: 'Ask an adapter that was trained for sequence classification, or ask for embeddings.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  CLASSIFIER_MEMORY: {
    summary: 'The encoder of classifiers takes more memory than it may: no classifier runs it.',
    advice: 'Raise --classifier-memory, or take a smaller encoder, such as one in 8 bits.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  INFER_FAILED: {
    summary: 'The graph of the base model could not be run with the tensors of the request.',
    advice: 'Compare sizes and values with what the model takes; the message has what ONNX Runtime says.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  LOGITS_NOT_FINITE: {
    summary: 'The model computed NaN or infinity instead of an answer.',
    advice: 'Roll the adapter back where the message names one, else export the base model again.',
    grpc: 'INTERNAL',
    retry: 'Never',
  },
});
