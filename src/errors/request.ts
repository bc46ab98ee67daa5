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
  ROUTE_UNCERTAIN: {
    summary:
      'A classifier of the route is not certain enough, and the route refuses what it is uncertain of.',
    advice:
      'Ask for the rollout or adapter by its own name, or say more in the prompt; `adaptlet explain` shows scores, and `adaptlet calibrate` what other thresholds would do.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  REQUEST_INVALID: {
    summary: 'The request has a field that is unknown, missing or out of range.',
    advice: 'Correct the field that the message names.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  INPUT_ENDS_ENGINE: {
    summary:
      'The engine ended, or was killed because it stalled, more than once while it worked on this input.',
    advice:
      'Change the request: a shorter prompt, or other sampling options. If it is not to blame, send it again after the time in retry-after.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  CALLER_ENDS_ENGINE: {
    summary:
      'The engine ended, or was killed because it stalled, more than once while it worked on inputs of this caller, another one each time; others ask this node too.',
    advice:
      'Send less at once, shorter prompts, or other sampling options, after the time in retry-after. The log of the runtime says how the engine ended.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'Backoff',
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
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'Backoff',
  },
  MEMORY_PRESSURE: {
    summary: 'The node runs out of memory, and has let go of all that it can.',
    advice:
      'Send it again after the time in retry-after, or to another node. When this repeats, raise the memory limit of the runtime, or lower --kv-memory or --adapter-memory.',
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
  NAMESPACE_ROUTING_TIME: {
    summary:
      'Decisions by the routes of the namespace take too much of the thread that serves every namespace: more than a twentieth of a core, and less where single ones take longer than 10 ms.',
    advice:
      'Send it again after the time in retry-after. Simplify the patterns of the AdapterRoute (`promptRegex`, headers of type Regex): fewer repetitions of repetitions, and no large counted ones.',
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
      'An adapter does not fit, with its compiled file, into the disk that the policy allows for adapters of its namespace on this runtime.',
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
  STRUCTURE_UNSUPPORTED: {
    summary:
      'The structure that the answer is to have is not valid, or has something that cannot be enforced; the message names it.',
    advice:
      'Leave out what the message names, or write it in another way; docs/how-to/structured-output.md lists what is enforced.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  STRUCTURE_TOO_COMPLEX: {
    summary:
      'The structure that the answer is to have takes more time, memory or states than a request may take.',
    advice: 'Ask for a simpler one: fewer alternatives, less nesting, smaller repetitions in patterns.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  STRUCTURE_NOT_AVAILABLE: {
    summary:
      'This runtime cannot enforce a structure: what computes the masks of tokens is missing or does not load.',
    advice:
      'Put native/token-masks/token-masks.wasm back, from the repository or by `make token-masks`, or ask without a structure.',
    grpc: 'UNIMPLEMENTED',
    retry: 'AfterChange',
  },
  REQUEST_TOO_LARGE: {
    summary: 'The body of the request has more bytes than the runtime accepts.',
    advice: 'Send less in one request.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'AfterChange',
  },
  BODY_ENCODED: {
    summary:
      'The body of the request has a Content-Encoding or a Transfer-Encoding other than chunked, or its call of gRPC a grpc-encoding, such as gzip. None is read; such a call ends with UNIMPLEMENTED.',
    advice:
      'Send it as it is, without such a header, or with `identity`; tritonclient does so without request_compression_algorithm (HTTP) and compression_algorithm (gRPC).',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
  CLIENT_TOO_SLOW: {
    summary: 'The caller did not send the body of its request in time, or stopped reading its stream.',
    advice: 'Send the whole body at once; read a stream as it comes, or ask for the answer as a whole.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'Backoff',
  },
  ITEM_NOT_FOUND: {
    summary: 'A request to /v1/responses refers to an item that this runtime does not keep for this caller.',
    advice:
      'Send the item itself in place of the reference: clients do so with `store: false` (AI SDK: `providerOptions: { openai: { store: false } }`). A runtime has the items of its last answers until it restarts; other runtimes do not have them.',
    grpc: 'NOT_FOUND',
    retry: 'AfterChange',
  },
  FEEDBACK_UNKNOWN: {
    summary: 'Feedback has an id that no answer of a rollout of this runtime has.',
    advice:
      'Send the whole id of the answer (x-adaptlet-request-id, or `id` of its body) to a runtime of the same fleet that has the rollout. A runtime without an operator knows its own ids only. There is no feedback for answers by the base model, or by an adapter that was asked for by its own name.',
    grpc: 'NOT_FOUND',
    retry: 'AfterChange',
  },
  FEEDBACK_FULL: {
    summary:
      'A runtime has feedback about so many answers, of other runtimes or of its own, that it keeps no more.',
    advice:
      'Send the rest to other runtimes of the fleet, each to the one that answered where you can. Another canary, or another attempt, begins with room.',
    grpc: 'RESOURCE_EXHAUSTED',
    retry: 'AfterChange',
  },
  RESIDENCY_BUDGET: {
    summary: 'An adapter does not fit into the RAM budget of adapters.',
    advice:
      'Raise --adapter-memory (`runtime.adapters.memory` of the chart), or use an adapter of a lower rank or with fewer target modules.',
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
