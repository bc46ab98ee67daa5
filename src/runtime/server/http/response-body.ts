import type { Structure } from '../../engine/engine.ts';
import { FieldError } from '../fields/field-error.ts';
import { optionsOf } from '../fields/options.ts';
import { reader } from '../fields/parse.ts';
import { responseFields } from '../fields/responses.ts';
import { structureOf } from '../fields/structure.ts';
import type { Options } from '../options.ts';

export const readResponse = reader(responseFields);

export type ResponseBody = ReturnType<typeof readResponse>;

/** @throws REQUEST_INVALID that names the field; STRUCTURE_TOO_COMPLEX */
const structureIn = ({ text, structured_outputs }: ResponseBody): Structure | undefined => {
  const { format } = text ?? {};
  if (format === undefined || format === null) return structureOf({ structured_outputs });
  const { type, schema } = format;
  if (type === 'json_schema' && (schema === undefined || schema === null)) {
    throw new FieldError('REQUEST_INVALID', 'text.format has no schema', 'text.format.schema');
  }
  const json_schema = schema === undefined || schema === null ? undefined : { schema };
  return structureOf({ response_format: { type, json_schema }, structured_outputs });
};

/** They come where `include` says it; the number of likeliest tokens is a field of its own. */
const logprobsOf = ({ include, top_logprobs: top }: ResponseBody): number | undefined => {
  const wanted = 'message.output_text.logprobs';
  if (include?.includes(wanted) === true) return top ?? 0;
  if ((top ?? 0) === 0) return undefined;
  const what = `top_logprobs is ${top}, it needs ${wanted} in include`;
  throw new FieldError('REQUEST_INVALID', what, 'top_logprobs');
};

export const responseOptions = (body: ResponseBody): Options => ({
  ...optionsOf({
    max_tokens: body.max_output_tokens,
    temperature: body.temperature,
    top_p: body.top_p,
    top_k: body.top_k,
    min_p: body.min_p,
    seed: body.seed,
    repetition_penalty: body.repetition_penalty,
    frequency_penalty: body.frequency_penalty,
    presence_penalty: body.presence_penalty,
    logit_bias: body.logit_bias,
    stop: body.stop,
    stop_token_ids: body.stop_token_ids,
    min_tokens: body.min_tokens,
    ignore_eos: body.ignore_eos,
    bad_words: body.bad_words,
  }),
  structure: structureIn(body),
  logprobs: logprobsOf(body),
});
