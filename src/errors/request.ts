import { defineErrors } from './define.ts';

/** Answers to requests: names, routes, availability, limits. */
export const requestErrors = defineErrors({
  MODEL_NOT_FOUND: {
    summary: 'No route, rollout, adapter or base model has the name that the request asks for.',
    advice: 'Use one of the names that the message offers; `adaptlet status` lists all of them.',
    grpc: 'NOT_FOUND',
    retry: 'AfterChange',
  },
  ADAPTER_NOT_AVAILABLE: {
    summary: 'The adapter is known but cannot serve here now.',
    advice: 'The message has the reason; `adaptlet status` shows the state of each adapter.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  REQUEST_INVALID: {
    summary: 'The request has a field that is unknown, missing or out of range.',
    advice: 'Correct the field that the message names.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  INPUT_ENDS_ENGINE: {
    summary: 'The engine ended, or was killed because it stalled, each time that it was given this input.',
    advice:
      'Change the request: a shorter prompt, or other sampling options. If it is not to blame, send it again after the time in retry-after.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  UNAUTHENTICATED: {
    summary: 'The request has no credential where one is needed, or one that is not believed.',
    advice:
      'Send a key of the AdapterPolicy as `Authorization: Bearer KEY`, or a token of an issuer that it trusts; see docs/how-to/let-clients-in.md.',
    grpc: 'UNAUTHENTICATED',
    retry: 'AfterChange',
  },
  FORBIDDEN: {
    summary: 'The caller is known and may not do this.',
    advice:
      'Ask for names of its own namespace, or have the administrator add the right to its credential in the AdapterPolicy.',
    grpc: 'PERMISSION_DENIED',
    retry: 'AfterChange',
  },
  REQUEST_CANCELLED: {
    summary: 'The caller went away.',
    advice: 'Nothing to do.',
    grpc: 'CANCELLED',
    retry: 'Never',
  },
  DEADLINE_EXCEEDED: {
    summary: "The request's deadline passed before it was answered.",
    advice: 'Allow more time, ask for less, or preload the adapter.',
    grpc: 'DEADLINE_EXCEEDED',
    retry: 'Backoff',
  },
  QUEUE_FULL: {
    summary: 'The runtime has as many requests waiting as it accepts.',
    advice: 'Send it again after the time in retry-after, or to another node.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
  NAMESPACE_REQUESTS: {
    summary: 'The namespace has as many requests open on this runtime as its policy allows.',
    advice:
      'Send it again after the time in retry-after, or have limits.requests of the AdapterPolicy raised.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'Backoff',
  },
  NAMESPACE_TOKENS: {
    summary: 'The namespace has used up the tokens per minute that its policy allows on this runtime.',
    advice:
      'Send it again after the time in retry-after, or have limits.tokensPerMinute of the AdapterPolicy raised.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'Backoff',
  },
  NAMESPACE_KV_MEMORY: {
    summary:
      'The open requests of a namespace could grow beyond the memory for keys and values that its policy allows on this runtime.',
    advice:
      'Ask for fewer tokens, send it again once others ended, or have limits.kvMemory of the AdapterPolicy raised.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'Backoff',
  },
  NAMESPACE_ADAPTER_MEMORY: {
    summary:
      'An adapter does not fit into the RAM that the policy allows for adapters of its namespace on this runtime.',
    advice:
      'Unpin an adapter of the namespace, or have limits.adapterMemory of the AdapterPolicy raised; it is tried again after the time in retry-after.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'Backoff',
  },
  NAMESPACE_ADAPTER_DISK: {
    summary:
      'An adapter does not fit into the disk that the policy allows for adapters of its namespace on this runtime.',
    advice:
      'Remove or unpin an adapter of the namespace, or have limits.adapterDisk of the AdapterPolicy raised; it is tried again after the time in retry-after.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'Backoff',
  },
  NO_VERSION_SERVES: {
    summary: 'No version of the rollout can serve on this runtime; the message says what is wrong with each.',
    advice:
      'Point the rollout to an adapter that works, or go back with `kubectl adaptlet undo`; what failed is tried again by itself. `spec.fallbackToBase` lets the base model answer meanwhile.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
  REQUEST_UNSUPPORTED: {
    summary: 'The request asks for something that Adaptlet does not do and that would change the answer.',
    advice: 'Leave out the field that the message names, or give it a value that the message allows.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  REQUEST_TOO_LARGE: {
    summary: 'The body of the request has more bytes than the runtime accepts.',
    advice: 'Send less in one request.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'AfterChange',
  },
  CLIENT_TOO_SLOW: {
    summary: 'The caller stopped reading its stream for so long that the generation was ended.',
    advice: 'Read the stream as it comes, or ask for the answer as a whole.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'Backoff',
  },
  FEEDBACK_UNKNOWN: {
    summary: 'Feedback is about an answer that this runtime does not know, or that no rollout gave.',
    advice:
      'Send it to the runtime that answered, with the id of its answer. A runtime keeps the last 65,536 answers of rollouts, until it restarts or the rollout is removed. It takes no feedback for answers by the base model, or by an adapter that was asked for by its own name.',
    grpc: 'NOT_FOUND',
    retry: 'AfterChange',
  },
  RESIDENCY_BUDGET: {
    summary: 'An adapter does not fit into the RAM budget of adapters.',
    advice:
      'Raise the memory budget of the runtime, or use an adapter of a lower rank or with fewer target modules.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  FETCH_STALLED: {
    summary: 'The source of an adapter stopped sending.',
    advice: 'It is tried again by itself; check the network and the registry when this repeats.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
  COMPILE_STALLED: {
    summary: 'The compile of an adapter did not end in time.',
    advice: 'It is tried again by itself; check the load and the disk of the node when this repeats.',
    grpc: 'UNAVAILABLE',
    retry: 'Backoff',
  },
});
