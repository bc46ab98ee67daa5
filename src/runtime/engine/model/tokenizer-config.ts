import { z } from 'zod';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { ModelFolder } from './folder.ts';
import { readModelJson } from './settings.ts';

const namedToken = z
  .union([z.string(), z.object({ content: z.string() }).transform((token) => token.content)])
  .nullish();

const configSchema = z.looseObject({
  chat_template: z
    .union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))])
    .nullish(),
  bos_token: namedToken,
  eos_token: namedToken,
  pad_token: namedToken,
  unk_token: namedToken,
  sep_token: namedToken,
  cls_token: namedToken,
  mask_token: namedToken,
});

/** What is read of tokenizer_config.json. */
export type TokenizerConfig = z.infer<typeof configSchema>;

const addedToken = z.looseObject({
  id: z.number().int().nonnegative(),
  content: z.string(),
  special: z.boolean().default(false),
  single_word: z.boolean().default(false),
});

/** Parts of tokenizer.json: one of a type, with its own fields, or a sequence of them. */
export type NormalizerConfig = {
  readonly type: string;
  readonly normalizers?: readonly NormalizerConfig[] | undefined;
  readonly [field: string]: unknown;
};
export type PreTokenizerConfig = {
  readonly type: string;
  readonly pretokenizers?: readonly PreTokenizerConfig[] | undefined;
  readonly [field: string]: unknown;
};
export type DecoderConfig = {
  readonly type: string;
  readonly decoders?: readonly DecoderConfig[] | undefined;
  readonly [field: string]: unknown;
};
const type = z.string();
const normalizer: z.ZodType<NormalizerConfig> = z.looseObject({
  type,
  normalizers: z.array(z.lazy(() => normalizer)).optional(),
});
const preTokenizer: z.ZodType<PreTokenizerConfig> = z.looseObject({
  type,
  pretokenizers: z.array(z.lazy(() => preTokenizer)).optional(),
});
const decoder: z.ZodType<DecoderConfig> = z.looseObject({
  type,
  decoders: z.array(z.lazy(() => decoder)).optional(),
});

const fileSchema = z.looseObject({
  added_tokens: z.array(addedToken).default([]),
  normalizer: normalizer.nullish(),
  pre_tokenizer: preTokenizer.nullish(),
  decoder: decoder.nullish(),
  truncation: z.object({ max_length: z.number().int().positive() }).nullish(),
});

/** What is read of tokenizer.json; the rest goes to the tokenizer as it is. */
export type TokenizerFile = z.infer<typeof fileSchema>;

export const readTokenizerConfig = (model: ModelFolder): TokenizerConfig =>
  readModelJson(model.tokenizerConfig, configSchema);

/** @throws MODEL_INVALID, MODEL_UNSUPPORTED for what would silently give other tokens */
export const readTokenizerFile = (model: ModelFolder): TokenizerFile => {
  const file = readModelJson(model.tokenizer, fileSchema);
  const single = file.added_tokens.find((token) => token.single_word);
  if (single === undefined) return file;
  const what = `${model.tokenizer}: token ${single.content} is single_word, which is not known`;
  throw new AdaptletError('MODEL_UNSUPPORTED', what, {
    advice: 'Use a base model whose tokenizer has no such token.',
  });
};
