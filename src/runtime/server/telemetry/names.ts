/** Every metric that /metrics has, as Prometheus sees it. */
export const metrics = {
  requests: {
    name: 'adaptlet_requests_total',
    help: 'Requests answered, by adapter, rollout, arm, protocol and code of the error catalogue (OK when served).',
  },
  callers: {
    name: 'adaptlet_caller_requests_total',
    help: 'Requests of known callers, by their credential (namespace and name in its AdapterPolicy) and code.',
  },
  requestDuration: {
    name: 'adaptlet_request_duration_seconds',
    help: 'Time from the arrival of a request to the end of its answer.',
  },
  timeToFirstToken: {
    name: 'adaptlet_time_to_first_token_seconds',
    help: 'Time from the arrival of a request to its first token.',
  },
  tokens: {
    name: 'adaptlet_tokens_total',
    help: 'Tokens of served requests, by kind: prompt or completion.',
  },
  feedback: {
    name: 'adaptlet_feedback_total',
    help: 'Answers of rollouts that got feedback, by rollout and arm. Feedback that takes the place of an earlier one does not count.',
  },
  transitions: {
    name: 'adaptlet_adapter_transitions_total',
    help: 'Changes of state of adapters on this runtime, by state before, state after and cause: the event, or the error code.',
  },
  memoryUsed: { name: 'adaptlet_memory_used_bytes', help: 'RAM that adapters hold.' },
  memoryBudget: { name: 'adaptlet_memory_budget_bytes', help: 'RAM that adapters may hold.' },
  diskUsed: { name: 'adaptlet_disk_used_bytes', help: 'Disk that adapters and their compiled files hold.' },
  diskBudget: { name: 'adaptlet_disk_budget_bytes', help: 'Disk that adapters may hold.' },
  nodeDiskUsed: {
    name: 'adaptlet_node_disk_used_bytes',
    help: 'Disk that this runtime holds: adapters and their compiled files, base models, and what is prepared of them.',
  },
  nodeDiskBudget: { name: 'adaptlet_node_disk_budget_bytes', help: 'Disk that this runtime may hold.' },
  damaged: {
    name: 'adaptlet_damaged_artifacts_total',
    help: 'Artifacts that the disk had lost or changed and that were set aside, since this runtime started.',
  },
  damagedAwaited: {
    name: 'adaptlet_damaged_artifacts_awaited',
    help: 'Those of them that adapters in service have and that were not fetched again yet.',
  },
  modelReceived: {
    name: 'adaptlet_base_model_received_bytes',
    help: 'Bytes of the base model that came from its registry so far; 0 when nothing is fetched.',
  },
  modelTotal: {
    name: 'adaptlet_base_model_total_bytes',
    help: 'Bytes of the base model that is being fetched; 0 when nothing is fetched.',
  },
  adapters: { name: 'adaptlet_adapters', help: 'Adapters on this runtime, by state.' },
  rolloutWeight: {
    name: 'adaptlet_rollout_weight_percent',
    help: 'Share of requests that the plan allows for the canary of a rollout.',
  },
  rolloutEffectiveWeight: {
    name: 'adaptlet_rollout_effective_weight_percent',
    help: 'Share of requests that this runtime applies for the canary of a rollout.',
  },
  ready: { name: 'adaptlet_ready', help: '1 while requests can be answered, else 0.' },
  connected: {
    name: 'adaptlet_connected_to_operator',
    help: '1 while this runtime has a stream with its operator, 0 while it goes on by its last plan; absent without one.',
  },
  provider: {
    name: 'adaptlet_execution_provider_info',
    help: 'Always 1 once the base model is loaded; the label is the execution provider that runs it.',
  },
  refusedProviders: {
    name: 'adaptlet_execution_provider_refused',
    help: 'Always 1, for each execution provider that was asked for before the one in use and does not work here.',
  },
  operators: {
    name: 'adaptlet_execution_provider_operators',
    help: 'Operators of the base model, by the execution provider that runs them. One that a provider made of many counts as one. None where the CPU was asked for all.',
  },
  buildInfo: {
    name: 'adaptlet_build_info',
    help: 'Always 1; labels are the version and the instance of this process.',
  },
  loraRequests: {
    name: 'vllm:lora_requests_info',
    help: 'Unix time of this reading; labels are the adapters that are Resident and those that requests wait for.',
  },
  requestsRunning: {
    name: 'vllm:num_requests_running',
    help: 'Requests that have a row and room for their keys and values; those that wait are counted apart.',
  },
  requestsWaiting: {
    name: 'vllm:num_requests_waiting',
    help: 'Requests that wait for the engine or for an adapter.',
  },
  kvCacheUsage: {
    name: 'vllm:kv_cache_usage_perc',
    help: 'Share of the memory for keys and values that requests with a row take; 1 is all of it. What is kept for later ones takes the rest.',
  },
  prefixQueries: {
    name: 'vllm:prefix_cache_queries_total',
    help: 'Tokens of the prompts of requests that got a row, of this engine process.',
  },
  prefixHits: {
    name: 'vllm:prefix_cache_hits_total',
    help: 'Those of them whose keys and values were there already, so that they were not computed.',
  },
  drafts: {
    name: 'vllm:spec_decode_num_drafts_total',
    help: 'Steps that checked guesses of the next tokens, of this engine process.',
  },
  draftTokens: {
    name: 'vllm:spec_decode_num_draft_tokens_total',
    help: 'Tokens that were guessed and checked.',
  },
  acceptedTokens: {
    name: 'vllm:spec_decode_num_accepted_tokens_total',
    help: 'Those of them that the answers have: the model gives them as well.',
  },
  decodeSteps: {
    name: 'adaptlet_decode_steps_total',
    help: 'Runs of the graph that decoded, of this engine process. A step whose adapters do not run together counts as many.',
  },
  decodedTokens: {
    name: 'adaptlet_decoded_tokens_total',
    help: 'Tokens that decode steps gave. Divided by the number of steps, without the accepted tokens of drafts: how many requests decode together.',
  },
  mirrored: {
    name: 'adaptlet_mirrored_requests_total',
    help: 'Copies of requests that a canary was given, by result: equal or different to the answer of stable, unchecked (sampled by chance), failed, dropped (requests came first).',
  },
  deltas: {
    name: 'adaptlet_deltas_total',
    help: 'What became of files of adapters that might have come as deltas, by result: applied, or why they came whole: none (the registry has none that fits), late (the look, the delta or making the file took too long), lookup (the look failed), size (not smaller), room (on the disk), download, content (it does not make the file).',
  },
  deltaSavedBytes: {
    name: 'adaptlet_delta_saved_bytes_total',
    help: 'Bytes that did not have to come, because a smaller delta did.',
  },
  overdueTurns: {
    name: 'adaptlet_overdue_turns_total',
    help: 'Places that went to an adapter because it had got none for 5 seconds, of this engine process.',
  },
  fairnessJain: {
    name: 'adaptlet_fairness_jain_index',
    help: "Jain's index of the tokens, weighted, that were computed of late (half-life 60 s) for each namespace with requests that run or wait: 1 when each had as much, 1/n when one of n had all.",
  },
  fairnessLag: {
    name: 'adaptlet_fairness_lag_tokens',
    help: 'The most weighted tokens that a namespace with requests that wait is behind another one with such.',
  },
  namespaceUsed: {
    name: 'adaptlet_namespace_used',
    help: 'What a namespace uses of an amount that its AdapterPolicy limits or guarantees, by namespace and limit: requests that are open, tokens of about the last minute, bytes of RAM of adapters.',
  },
  namespaceGuaranteed: {
    name: 'adaptlet_namespace_guaranteed',
    help: 'What is guaranteed to a namespace on this runtime, by namespace and limit; scaled down where policies guarantee more than it has.',
  },
  namespaceLimit: {
    name: 'adaptlet_namespace_limit',
    help: 'What a namespace may use on this runtime at most, by namespace and limit.',
  },
  namespaceRefused: {
    name: 'adaptlet_namespace_refused_total',
    help: 'Requests of a namespace that were refused by a limit of its AdapterPolicy, by namespace and limit.',
  },
  preemptions: {
    name: 'adaptlet_preemptions_total',
    help: 'Requests that made way for those of another tenant or adapter, of a higher priority, or for lack of memory for keys and values, and went on later.',
  },
} as const;

/** Names of spans. */
export const spans = {
  /** One request from its arrival to the end of its answer. */
  request: 'adaptlet.request',
  /** Identity, routing, and waiting for the adapter and for admission. */
  acquire: 'adaptlet.acquire',
  /** From admission to the last token. */
  generate: 'adaptlet.generate',
} as const;

/** Names of span attributes. */
export const attributes = {
  /** The name that the client asked for. */
  model: 'adaptlet.model',
  /** Where it was looked up. */
  namespace: 'adaptlet.namespace',
  /** The credential of the caller; absent: anonymous. */
  caller: 'adaptlet.caller',
  /** Id of the generation, as in answers and logs. */
  requestId: 'adaptlet.request_id',
  /** Name of the Adapter that served; '' for the base model. */
  adapter: 'adaptlet.adapter',
  /** Digest of what served. */
  digest: 'adaptlet.digest',
  /** The rollout that chose. */
  rollout: 'adaptlet.rollout',
  /** stable, canary or base. */
  arm: 'adaptlet.arm',
  /** The rule of the route that decided. */
  rule: 'adaptlet.rule',
  /** Code of the error catalogue, or OK. */
  code: 'adaptlet.code',
  /** Milliseconds to the first token. */
  timeToFirstToken: 'adaptlet.time_to_first_token_ms',
  /** Tokens of the prompt. */
  promptTokens: 'gen_ai.usage.input_tokens',
  /** Tokens of the answer. */
  completionTokens: 'gen_ai.usage.output_tokens',
  /** gRPC or HTTP method, as the semantic conventions name it. */
  method: 'rpc.method',
  /** grpc or http. */
  protocol: 'rpc.system',
} as const;
