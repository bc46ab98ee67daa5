/** Every metric that /metrics has, as Prometheus sees it. */
export const metrics = {
  requests: {
    name: 'adaptlet_requests_total',
    help: 'Requests answered, by adapter, rollout, arm, protocol and code of the error catalogue (OK when served). Each call of gRPC with compressed messages counts (BODY_ENCODED), whoever sends it.',
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
  endedConnections: {
    name: 'adaptlet_ended_connections_total',
    help: 'Connections that were ended for what came on them, by protocol (grpc, http) and cause: chunks of a few bytes, pipelined requests, a request of more than 64 KiB that was answered before it was whole, resets of streams, messages that did not come to their end; and clients that left their answer within a second, more often than those of an address may.',
  },
  endedStreams: {
    name: 'adaptlet_ended_streams_total',
    help: 'Streams of gRPC that were ended for what came on their connection, where that is of a gateway and goes on, by cause: messages that did not come to their end.',
  },
  delayedConnections: {
    name: 'adaptlet_delayed_connections_total',
    help: 'Connections that waited before they began since others of their address had been ended or left, by protocol (grpc, http).',
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
  workingSet: {
    name: 'adaptlet_memory_working_set_bytes',
    help: 'Memory in use of what there is least of, a control group or the machine (label level), without pages of files that nobody has mapped.',
  },
  memoryLimit: {
    name: 'adaptlet_memory_limit_bytes',
    help: 'How much memory that has (label level): beyond it the kernel kills.',
  },
  budgetNow: {
    name: 'adaptlet_memory_budget_now_bytes',
    help: 'What adapters, and keys and values, may take now, by budget (adapters, kv): less than they were given while memory is short.',
  },
  shrinks: {
    name: 'adaptlet_memory_shrinks_total',
    help: 'How often adapters, or what is kept of keys and values, were let go of because memory was short.',
  },
  memoryRefused: {
    name: 'adaptlet_memory_refused_total',
    help: 'Requests that were refused because memory was short and nothing was left to let go of.',
  },
  memoryKills: {
    name: 'adaptlet_memory_kills_total',
    help: 'Processes of this runtime that the kernel killed for lack of memory within the limits of its control groups, since it started.',
  },
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
    help: 'Unix time of this reading; labels are the names of adapters that are Resident, with those of rollouts that serve them, of those that requests wait for, and how many there may be.',
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
  cacheConfig: {
    name: 'vllm:cache_config_info',
    help: 'Always 1; labels are the tokens of a block and the blocks that the memory for keys and values holds. 0 blocks: the base model is not loaded, or does not generate.',
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
  blobBytes: {
    name: 'adaptlet_blob_bytes_total',
    help: 'Bytes of blobs of adapters that came from registries, where runtimes share them, by result: peer (from a runtime of the site), source (over the uplink; a blob of which a part was here, or which came as a delta, counts whole).',
  },
  peerSentBytes: {
    name: 'adaptlet_peer_sent_bytes_total',
    help: 'Bytes of blobs that other runtimes of the site got from here.',
  },
  peersAside: {
    name: 'adaptlet_peers_set_aside_total',
    help: 'How often a runtime of the site was left alone for a while, by result: away (it did not answer, or broke off; 30 seconds), liar (it sent other bytes than those of the digest; 10 minutes).',
  },
  prefetchHits: {
    name: 'adaptlet_prefetch_hits_total',
    help: 'Adapters that were brought to the disk, or into RAM, before they were asked for, and then were used there, by tier: disk or ram.',
  },
  prefetchedBytes: {
    name: 'adaptlet_prefetched_bytes_total',
    help: 'Bytes that were brought there before they were asked for.',
  },
  prefetchWastedBytes: {
    name: 'adaptlet_prefetch_wasted_bytes_total',
    help: 'Those of them that left before anybody used them.',
  },
  certificateUntil: {
    name: 'adaptlet_tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate of the request ports ends, in Unix time. Absent without TLS, and before the first certificate.',
  },
  sessions: {
    name: 'adaptlet_sessions',
    help: 'Sessions that this runtime keeps decisions of routes for, with those that are over and were not asked for since.',
  },
  sessionTokens: {
    name: 'adaptlet_session_tokens_total',
    help: 'Tokens of sessions that came with requests, by result: accepted, over (past their end), foreign (not signed for this route and caller) or malformed; all but accepted count as none.',
  },
  classifierAnswers: {
    name: 'adaptlet_classifier_answers_total',
    help: 'Questions of routes to the encoder of onnx classifiers, by code of the error catalogue: OK when it answered, DEADLINE_EXCEEDED where that took longer than 100 ms, QUEUE_FULL where too many waited, ENGINE_DOWN while it was away. With any but OK the classifier was uncertain.',
  },
  classifiers: {
    name: 'adaptlet_classifiers',
    help: 'Classifiers of routes that need an artifact, by state: Ready, Pending (it is on its way) or Failed.',
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
  /** Identity is known: what may serve is chosen, by classifiers as well. */
  route: 'adaptlet.route',
  /** Until the adapter is in RAM. */
  load: 'adaptlet.load',
  /** In the engine: from its admission to the last token. */
  engine: 'adaptlet.generate',
  /** In it, until the first step of the request. */
  queue: 'adaptlet.queue',
  /** In it, from there to the first token. */
  prefill: 'adaptlet.prefill',
  /** In it, from there to the last token. */
  decode: 'adaptlet.decode',
} as const;

/** Names of span attributes. Those of gen_ai, rpc and error are of OpenTelemetry's semantic conventions. */
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
  /** What classifiers of the route said, as in x-adaptlet-classified; absent where none was asked. */
  classified: 'adaptlet.classified',
  /** Their scores, 0 to 1, in that order. */
  classifierScores: 'adaptlet.classifier.scores',
  /** Code of the error catalogue, or OK. */
  code: 'adaptlet.code',
  /** Milliseconds to the first token. */
  timeToFirstToken: 'adaptlet.time_to_first_token_ms',
  /** Milliseconds in the queue of the engine. */
  queueMs: 'adaptlet.queue_ms',
  /** Milliseconds that runs of this prompt took, without those of others between them. */
  prefillMs: 'adaptlet.prefill_ms',
  /** The same of steps that gave it tokens. */
  decodeMs: 'adaptlet.decode_ms',
  /** Milliseconds until its adapter was in place, where another one had the step before. */
  switchMs: 'adaptlet.switch_ms',
  /** chat, text_completion or embeddings. */
  operation: 'gen_ai.operation.name',
  /** Always adaptlet. */
  provider: 'gen_ai.provider.name',
  /** As adaptlet.model. */
  requestModel: 'gen_ai.request.model',
  /** As adaptlet.adapter, where one served. */
  responseModel: 'gen_ai.response.model',
  /** As adaptlet.request_id. */
  responseId: 'gen_ai.response.id',
  /** Why the answer ended: stop or length. */
  finishReasons: 'gen_ai.response.finish_reasons',
  /** Tokens of the prompt. */
  promptTokens: 'gen_ai.usage.input_tokens',
  /** Those of them whose keys and values were there already. */
  cachedTokens: 'gen_ai.usage.cache_read.input_tokens',
  /** Tokens of the answer. */
  completionTokens: 'gen_ai.usage.output_tokens',
  /** Code of the error catalogue, of a failure. */
  errorType: 'error.type',
  /** gRPC or HTTP method, as the semantic conventions name it. */
  method: 'rpc.method',
  /** grpc or http. */
  protocol: 'rpc.system',
} as const;
