import { FieldError } from './problem.ts';

type Neutral = (value: unknown) => boolean;

const off: Neutral = (v) => v === false;
const zero: Neutral = (v) => v === 0;
const one: Neutral = (v) => v === 1;
const emptyList: Neutral = (v) => Array.isArray(v) && v.length === 0;
const emptyObject: Neutral = (v) => typeof v === 'object' && v !== null && Object.keys(v).length === 0;
const none: Neutral = (v) => v === 'none';
const never: Neutral = () => false;

/**
 * Fields of OpenAI's API, and of vLLM's extension of it, that would change the answer and that Adaptlet does not do;
 * each with the values that change nothing. All other unknown fields are ignored, as OpenAI does.
 */
const unsupported: Readonly<Record<string, Neutral>> = {
  n: one,
  best_of: one,
  prompt_logprobs: zero,
  echo: off,
  suffix: (v) => v === '',
  tools: emptyList,
  tool_choice: none,
  functions: emptyList,
  function_call: none,
  response_format: (v) => typeof v === 'object' && v !== null && 'type' in v && v.type === 'text',
  min_tokens: zero,
  ignore_eos: off,
  use_beam_search: off,
  modalities: (v) => Array.isArray(v) && v.every((m) => m === 'text'),
  audio: never,
  web_search_options: never,
  reasoning_effort: none,
  structured_outputs: emptyObject,
  guided_json: never,
  guided_regex: never,
  guided_choice: never,
  guided_grammar: never,
};

/** Errors: REQUEST_UNSUPPORTED names the first such field. null is as good as absent. */
export const refuseUnsupported = (body: Readonly<Record<string, unknown>>): void => {
  for (const [name, neutral] of Object.entries(unsupported)) {
    const value = body[name];
    if (value !== undefined && value !== null && !neutral(value))
      throw new FieldError('REQUEST_UNSUPPORTED', `${name} is not supported`, name);
  }
};
