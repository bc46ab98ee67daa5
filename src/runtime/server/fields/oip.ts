import { z } from 'zod';
import { harmless, honoured, refused } from './field.ts';
import { refusedOfGeneration } from './generation.ts';
import { structureFields } from './structure.ts';

const number = honoured(z.number({ error: 'must be a number' }).optional());
const text = z.string({ error: 'must be a string' });

/** Parameters hold no lists: several strings come as a JSON array of strings, one comes as it is. */
const stringsOf = (value: string): string[] => {
  if (!value.startsWith('[')) return [value];
  try {
    const list: unknown = JSON.parse(value);
    if (Array.isArray(list) && list.every((s) => typeof s === 'string')) return list;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return [value];
};

/** Of Triton's extensions. tritonclient sends these where its caller sets them. */
const triton = {
  priority: refused('use the metadata x-adaptlet-priority, where higher goes first', 0),
  timeout: refused('use the deadline of the call', 0),
  sequence_id: refused('models have no state', 0, ''),
  sequence_start: refused('models have no state', false),
  sequence_end: refused('models have no state', false),
  triton_enable_empty_final_response: harmless('the last response always comes'),
};

const lists = 'parameters hold no lists; use Generate or the OpenAI API';

const identity = {
  user: honoured(text.optional()),
  session: honoured(text.optional()),
};

/** Parameters of ModelInfer where text is generated. */
export const generateParameters = {
  max_tokens: number,
  temperature: number,
  top_p: number,
  top_k: number,
  min_p: number,
  seed: number,
  repetition_penalty: number,
  frequency_penalty: number,
  presence_penalty: number,
  stop: honoured(text.transform(stringsOf).optional()),
  min_tokens: number,
  ignore_eos: honoured(z.boolean({ error: 'must be a boolean' }).optional()),
  bad_words: honoured(text.transform(stringsOf).optional()),
  ...identity,
  logit_bias: refused(lists),
  stop_token_ids: refused(lists),
  logprobs: refused('no output holds them; use Generate or the OpenAI API'),
  stream: refused('there is one response; use Generate', false),
  ...structureFields,
  ...refusedOfGeneration,
  session_id: refused('use the parameter session'),
  ...triton,
};

/** Parameters of ModelInfer of encoders and of graphs of plain tensors: who asks. */
export const identityParameters = { ...identity, ...triton };

const sharedMemory = 'tensors come with the call';

/** Parameters of an input or of an output. */
export const tensorParameters = {
  classification: refused('outputs are given as they are', 0),
  shared_memory_region: refused(sharedMemory),
  shared_memory_byte_size: refused(sharedMemory),
  shared_memory_offset: refused(sharedMemory),
  binary_data: refused('raw contents are answered raw, typed ones typed'),
  binary_data_size: refused('raw contents have their length'),
};

const manifest = 'what an Adapter is comes from its manifest';

/** Parameters of RepositoryModelLoad. */
export const loadParameters = { config: refused(manifest) };

/** Parameters of RepositoryModelUnload. */
export const unloadParameters = { unload_dependents: harmless('an Adapter has no dependents') };
