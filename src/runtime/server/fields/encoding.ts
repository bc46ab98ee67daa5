import { z } from 'zod';
import { harmless, honoured, refused } from './field.ts';
import { templateFields } from './generation.ts';

/** Fields that both calls of encoders have. */
const shared = {
  model: honoured(z.string()),
  input: honoured(
    z.union(
      [
        z.string(),
        z.array(z.string()),
        z.array(z.int({ abort: true })),
        z.array(z.array(z.int({ abort: true }))),
      ],
      {
        error: 'must be a string, a list of strings, or token ids of one text or of several',
      },
    ),
  ),
  user: honoured(z.string().nullish()),
  messages: refused('conversations are not encoded yet'),
  add_generation_prompt: refused('conversations are not encoded yet', false),
  ...templateFields,
  add_special_tokens: refused("the tokenizer's own are always added", true),
  truncate_prompt_tokens: refused('a text is cut to what the model reads', -1),
  truncation_side: refused('a text is cut at its end', 'right'),
  padding: refused('texts are not padded', 'do_not_pad'),
  priority: refused('requests to an encoder have no priority', 0),
  request_id: harmless('each answer has its own id'),
  cache_salt: harmless('encoders have no prefix cache'),
};

const asTrained = 'the base model says whether embeddings are normalised';

/** `/v1/embeddings`. */
export const embeddingFields = {
  ...shared,
  encoding_format: honoured(z.enum(['float', 'base64']).nullish()),
  dimensions: refused('embeddings have the dimensions of the model'),
  embed_dtype: refused('embeddings are float32', 'float32'),
  endianness: refused('base64 is little-endian', 'little', 'native'),
  normalize: refused(asTrained),
  use_activation: refused(asTrained),
};

const activation = 'the head says how logits become probabilities; logits are given beside them';

/** `/v1/classify`. */
export const classifyFields = {
  ...shared,
  use_activation: refused(activation, true),
  activation: refused(activation, true),
  softmax: refused(activation),
};
