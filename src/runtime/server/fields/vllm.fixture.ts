/** Names of the fields that vLLM's requests and its SamplingParams and PoolingParams have, those of older versions too. */
const sampling =
  'n best_of presence_penalty frequency_penalty repetition_penalty temperature top_p top_k min_p seed stop stop_token_ids ' +
  'ignore_eos max_tokens min_tokens logprobs prompt_logprobs logprob_token_ids flat_logprobs detokenize ' +
  'skip_special_tokens spaces_between_special_tokens include_stop_str_in_output structured_outputs logit_bias ' +
  'allowed_token_ids bad_words thinking_token_budget repetition_detection logits_processors use_beam_search length_penalty ' +
  'watermarking stream_interval routed_experts_prompt_start truncate_prompt_tokens truncation_side';

/** Those of SamplingParams that no request of vLLM has: unknown here as well. */
export const internalNames =
  'prompt_logprob_token_ids prompt_logprob_start output_kind skip_clone output_text_buffer_length extra_args ' +
  'skip_reading_prefix_cache trace_decode_token_ids';

const generation =
  `${sampling} model stream stream_options user echo response_format add_special_tokens priority request_id session_id ` +
  'return_tokens_as_token_ids return_token_ids return_token_offsets return_mm_kwargs cache_salt kv_transfer_params ' +
  'ec_transfer_params vllm_xargs guided_json guided_regex guided_choice guided_grammar guided_decoding_backend ' +
  'guided_whitespace_pattern structural_tag';

const template =
  'add_generation_prompt continue_final_message chat_template chat_template_kwargs media_io_kwargs mm_processor_kwargs';

const pooling =
  `model user input messages truncate_prompt_tokens truncation_side padding request_id priority cache_salt ` +
  `add_special_tokens use_activation ${template}`;

const list = (names: string): readonly string[] => names.split(' ');

export const vllmNames = {
  '/v1/completions': list(`${generation} prompt suffix prompt_embeds`),
  '/v1/chat/completions': list(
    `${generation} ${template} messages top_logprobs max_completion_tokens tools tool_choice reasoning_effort ` +
      'include_reasoning parallel_tool_calls documents return_prompt_text',
  ),
  '/v1/responses': list(
    'background include input instructions max_output_tokens max_tool_calls metadata model logit_bias parallel_tool_calls ' +
      'previous_response_id prompt reasoning service_tier store stream temperature text tool_choice tools top_logprobs top_p ' +
      'top_k truncation user skip_special_tokens include_stop_str_in_output prompt_cache_key request_id media_io_kwargs ' +
      'mm_processor_kwargs priority cache_salt enable_response_messages previous_input_messages structured_outputs ' +
      'repetition_penalty seed stop ignore_eos vllm_xargs kv_transfer_params presence_penalty frequency_penalty',
  ),
  '/v1/embeddings': list(`${pooling} encoding_format embed_dtype endianness dimensions normalize`),
  '/v1/classify': list(`${pooling} softmax activation`),
} as const;
