import { defineErrors } from './define.ts';

/** Why an adapter's files are refused: reading PEFT folders, compiling and validating. */
export const adapterErrors = defineErrors({
  ADAPTER_CONFIG_INVALID: {
    summary: 'adapter_config.json is missing or is not a PEFT LoRA configuration.',
    advice: 'Save the adapter again with peft `save_pretrained`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_PATTERN_INVALID: {
    summary: 'A regular expression in adapter_config.json cannot be read, or RE2 cannot express it.',
    advice:
      'Use no look-around, back-references, atomic groups or possessive quantifiers, or list the module names.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_PEFT_TYPE: {
    summary:
      'The adapter is of a PEFT method that is no pair of small matrices, nor a factor for each feature.',
    advice: 'Train it as LoRA: `peft_type` is LORA, ADALORA, LOHA, LOKR or IA3.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_TASK_UNSUPPORTED: {
    summary: 'The adapter is for a task that the base model does not do.',
    advice: 'Use an adapter whose `task_type` is one that the message names.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_DORA: {
    summary:
      'The adapter uses DoRA, and lacks magnitudes, has some without saying so, or is for a linear whose base weights Adaptlet cannot read.',
    advice: 'Save it again with peft `save_pretrained`, or train it with `use_dora=False`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_IA3: {
    summary:
      'The adapter is of IA3, and scales a linear of the base model whose input or bias cannot be scaled for it alone.',
    advice:
      'Train it on outputs, or on inputs of the last linear of a gated MLP (`feedforward_modules=["down_proj"]`); or train it as LoRA.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_BIAS: {
    summary:
      'The adapter carries biases of the base model that are not of its linears, or that cannot be read where it adds them.',
    advice: 'Train it with `bias="none"`; `lora_bias=True` adds biases of its own.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_LORA_BIAS: {
    summary: 'Biases of B matrices are in the adapter or in its configuration, but not in both.',
    advice: 'Save it again with peft `save_pretrained`, or train it with `lora_bias=False`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_NEEDS_OPERATOR: {
    summary:
      'The adapter uses DoRA, IA3, `lora_bias` or biases of the base, which the native operator applies, and this node runs without it.',
    advice:
      'Build the operator with `make native` or use the image, and let the CPU run the model; `adaptlet doctor` says what is missing. Or train it as plain LoRA.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_MODULES_TO_SAVE: {
    summary:
      'The adapter replaces whole modules of the base model, of which a node keeps one for all adapters.',
    advice: 'Train it without `modules_to_save`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_LAYER_REPLICATION: {
    summary: 'The adapter stacks layers of the base model anew.',
    advice: 'Train it without `layer_replication`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_QALORA: {
    summary: 'The adapter uses QALoRA, whose A matrices see pooled inputs.',
    advice: 'Train it with `use_qalora=False`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_ALORA: {
    summary: 'The adapter is an activated LoRA, which begins to act at invocation tokens.',
    advice: 'Train it without `alora_invocation_tokens`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_TRAINABLE_TOKENS: {
    summary: 'The adapter changes embeddings of single tokens.',
    advice: 'Train it without `trainable_token_indices`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_TARGET_PARAMETERS: {
    summary: 'The adapter targets parameters instead of modules.',
    advice: 'Train it with `target_modules` only.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_ARROW: {
    summary: 'The adapter is an Arrow router, which mixes several adapters token by token.',
    advice: 'Publish one of the adapters that it mixes, whose `arrow_config` is null.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_BDLORA: {
    summary: 'The adapter has block-diagonal matrices (BD-LoRA).',
    advice: 'Train it without `use_bdlora`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_KASA: {
    summary: 'The adapter uses KaSA, which cuts singular values off the weights of the base model.',
    advice: 'Train it without `kasa_config`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_MEGATRON: {
    summary: 'The adapter was made for layers of Megatron, which PEFT loads with Megatron only.',
    advice: 'Train it on the Transformers model, without `megatron_config`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_MONTECLORA: {
    summary: 'The adapter uses MonteCLoRA, which stores the state of a sampler beside its matrices.',
    advice: 'Train it without `monteclora_config`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_VELORA: {
    summary: 'The adapter uses VeLoRA, which stores projections of its training beside its matrices.',
    advice: 'Train it without `velora_config`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_EMBEDDING: {
    summary:
      'The adapter changes or carries the token embedding or the output layer of the base model, of which a node keeps one for all adapters.',
    advice: 'Train it without `embed_tokens` and `lm_head`, and save it with `save_embedding_layers=False`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ROUTE_CLASSIFIER_INVALID: {
    summary: 'The artifact of a classifier of a route is none, or is damaged.',
    advice:
      'For `examples` make a table with `adaptlet classifier distil`, for `onnx` train an adapter for sequence classification with PEFT. Then give the route its new digest.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_HEAD_INVALID: {
    summary: 'The classification head of the adapter is incomplete or does not fit the base model.',
    advice:
      'Save an adapter of BertForSequenceClassification with PEFT: its head is `classifier.weight` and `classifier.bias`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_LABELS_INVALID: {
    summary: 'The labels of a classifier cannot be read, or are not as many as its head has.',
    advice:
      'Put `labels.json` with `{"labels": [...]}` into the folder of the adapter, one label for each class.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_INIT_CHANGES_BASE: {
    summary: 'The way the adapter was initialised changes the weights of the base model.',
    advice:
      'Save it with `path_initial_model_for_weight_conversion`, or run `adaptlet compose ADAPTER --initial INITIAL -o OUT` with the adapter as it was before training: both make it a plain LoRA.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_FIELD_UNKNOWN: {
    summary: 'adapter_config.json sets a field that Adaptlet does not know, and that may change the result.',
    advice: 'Save the adapter without the field that the message names, or set it to null.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_FILE_MISSING: {
    summary: 'The adapter has no adapter_model.safetensors.',
    advice: 'Save the adapter with peft `save_pretrained`, whose default is safetensors.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_PICKLE: {
    summary: 'The adapter has weights as a pickle file, which can run code when it is read.',
    advice: 'Save it as safetensors (`safe_serialization=True`) and delete the pickle file.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_HEADER_TOO_LARGE: {
    summary: 'The header of a safetensors file says that it is larger than a header may be.',
    advice: 'The file is damaged or hostile: get it again from where it was trained.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_HEADER_INVALID: {
    summary: 'The header of a safetensors file is not valid.',
    advice: 'The file is damaged: get it again or save the adapter again.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_OFFSETS_INVALID: {
    summary:
      'Tensors of a safetensors file overlap, leave holes, are misaligned or are not as long as their shape.',
    advice: 'The file is damaged: get it again or save the adapter again.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_FILE_TRUNCATED: {
    summary: 'A safetensors file ends before its last tensor.',
    advice: 'The file is incomplete: copy or upload it again.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_FILE_OVERSIZED: {
    summary: 'A safetensors file goes on after its last tensor.',
    advice: 'The file is damaged: get it again or save the adapter again.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_DTYPE: {
    summary: 'A tensor has a type other than F32, F16, BF16, or I8 with its scales.',
    advice: 'Save the adapter in float32, float16 or bfloat16; `adaptlet convert` makes int8 of it.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_SCALE_INVALID: {
    summary:
      'An int8 tensor has no scales, or scales that are not one positive float32 number for each of its rows.',
    advice: 'Make the int8 adapter again with `adaptlet convert` from the one that was trained.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_FLOAT16_RANGE: {
    summary: 'A weight is too large for float16, whose largest number is 65504.',
    advice: 'Leave the adapter in the type that it has, or convert it to int8.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_CONVERTED: {
    summary: 'The adapter to convert is already int8; another conversion would add to its error.',
    advice: 'Convert the trained adapter.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  CONVERT_TARGET_EXISTS: {
    summary: 'The folder that a converted or composed adapter would be written to is there already.',
    advice: 'Name a folder that does not exist; nothing is overwritten.',
    grpc: 'ALREADY_EXISTS',
    retry: 'AfterChange',
  },
  ADAPTERS_NOT_COMPOSABLE: {
    summary:
      'The adapters cannot be merged into one: they do not fit together, or are of a kind that has no sum.',
    advice: 'Merge plain LoRA adapters of one base model and one task; the message says what is in the way.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_WRONG_BASE: {
    summary: 'The adapter was made for another base model than the one this runtime has.',
    advice: 'Use an adapter that was trained on this base model, or a runtime with its base model.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_TENSOR_UNKNOWN: {
    summary: 'The adapter has a tensor that is no LoRA matrix of a module of the base model.',
    advice: 'Save the adapter again without the tensor that the message names.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_TENSOR_UNTARGETED: {
    summary: 'The adapter has a tensor for a module that its own configuration does not target.',
    advice: 'Put adapter_config.json and adapter_model.safetensors of the same training together.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_TENSOR_MISSING: {
    summary: 'The configuration targets a module that has no tensors.',
    advice: 'Put adapter_config.json and adapter_model.safetensors of the same training together.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_TARGET_UNMATCHED: {
    summary: 'An entry of target_modules matches no module of the base model that LoRA can reach.',
    advice: 'Remove the entry that the message names, or save the adapter again.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_PAIR_INCOMPLETE: {
    summary: 'Half of an A/B pair is missing.',
    advice: 'The file is damaged: save the adapter again.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_SHAPE: {
    summary: 'A tensor does not have the shape that the module of the base model needs.',
    advice: 'Use an adapter that was trained on this base model.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_RANK_LIMIT: {
    summary: 'The rank of a pair is 0 or above the limit of this runtime.',
    advice: 'Train with a rank within the limit that the message names.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_RANK_UNEQUAL: {
    summary: 'The A and B matrices of a pair have different ranks.',
    advice: 'The file is damaged: save the adapter again.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_RANK_NOT_CONFIG: {
    summary: 'The rank in adapter_config.json (r, rank_pattern) is not the rank of the tensors.',
    advice: 'Put adapter_config.json and adapter_model.safetensors of the same training together.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_NOT_FINITE: {
    summary: 'A weight is NaN or infinite.',
    advice: 'Use an earlier checkpoint: the training diverged.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_NO_EFFECT: {
    summary: 'The adapter leaves the output of the base model as it is, bit for bit.',
    advice: 'Publish the trained weights, or set `spec.validation.allowNoEffect` when this is intended.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_PROBE_NOT_FINITE: {
    summary: 'The base model computes NaN or infinity with the adapter.',
    advice: 'Publish an adapter whose weights stay within the range of the base model.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_BEYOND_INT8: {
    summary: 'With the adapter, keys and values are larger than those that the node stores as int8.',
    advice: 'Start the node with `--kv-precision float32`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  SMOKE_TEST_FAILED: {
    summary: 'A smoke test of the adapter did not give the expected answer in time.',
    advice:
      'Correct `spec.validation.smokeTests` or publish a better adapter; `adaptlet` can retry it by hand.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_BASE_MISMATCH: {
    summary: 'The adapter is for another base model than the one that this runtime has loaded.',
    advice:
      'Set `spec.baseModel` and `spec.baseModelDigests` to what the adapter was trained on, or use a runtime of that base model.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_ENDS_RUNTIME: {
    summary: 'The runtime crashed several times while the adapter was on trial as a canary.',
    advice:
      'Look for the cause (out of memory, power). Publish another adapter, or run `retry` when the adapter was not the cause.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
  ADAPTER_DIGEST_CHANGED: {
    summary: 'The source of an adapter gives another content than the one that is recorded for it.',
    advice: 'Create a new Adapter object for the new content, or restore the old one at the source.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'AfterChange',
  },
});
