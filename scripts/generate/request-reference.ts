import { classifyFields, embeddingFields } from '../../src/runtime/server/fields/encoding.ts';
import { feedbackFields } from '../../src/runtime/server/fields/feedback.ts';
import type { Field, Fields } from '../../src/runtime/server/fields/field.ts';
import { chatFields, completionFields } from '../../src/runtime/server/fields/generation.ts';
import { loadLoraFields, unloadLoraFields } from '../../src/runtime/server/fields/lora.ts';
import {
  generateParameters,
  identityParameters,
  loadParameters,
  tensorParameters,
  unloadParameters,
} from '../../src/runtime/server/fields/oip.ts';
import { responseFields } from '../../src/runtime/server/fields/responses.ts';
import { code, table } from './table.ts';

const calls: readonly (readonly [string, Fields])[] = [
  ['`/v1/completions`', completionFields],
  ['`/v1/chat/completions`', chatFields],
  ['`/v1/responses`', responseFields],
  ['`/v1/embeddings`', embeddingFields],
  ['`/v1/classify`', classifyFields],
  ['`/v1/feedback`', feedbackFields],
  ['`/v1/load_lora_adapter`', loadLoraFields],
  ['`/v1/unload_lora_adapter`', unloadLoraFields],
  ['Parameters of `ModelInfer` that generates text', generateParameters],
  ['Parameters of `ModelInfer` of encoders and plain tensors', identityParameters],
  ['Parameters of inputs and outputs of `ModelInfer`', tensorParameters],
  ['Parameters of `RepositoryModelLoad`', loadParameters],
  ['Parameters of `RepositoryModelUnload`', unloadParameters],
];

/** All fields with their paths, those inside a field after it. */
const flat = (fields: Fields, path = ''): readonly (readonly [string, Field])[] =>
  Object.entries(fields).flatMap(([name, field]): readonly (readonly [string, Field])[] => [
    [path + name, field],
    ...(field.use === 'honoured' && field.inside !== undefined ? flat(field.inside, `${path}${name}.`) : []),
  ]);

const section = ([title, fields]: (typeof calls)[number]): readonly string[] => {
  const all = flat(fields);
  const read = all.filter(([, { use }]) => use === 'honoured').map(([path]) => code(path));
  const harmless = all.flatMap(([path, field]) =>
    field.use === 'harmless' ? [[code(path), field.why]] : [],
  );
  const refused = all.flatMap(([path, field]) =>
    field.use === 'refused'
      ? [[code(path), field.neutral.map((value) => code(JSON.stringify(value))).join(', '), field.why]]
      : [],
  );
  return [
    `## ${title}`,
    '',
    ...(read.length === 0 ? [] : [`Read: ${read.join(', ')}.`, '']),
    ...(harmless.length === 0 ? [] : [...table(['accepted, changes nothing', 'why'], harmless), '']),
    ...(refused.length === 0 ? [] : [...table(['refused', 'except', 'why'], refused), '']),
  ];
};

/** docs/reference/request-fields.md: what becomes of each field that a request can have. */
export const requestReference = async (): Promise<Map<string, string>> => {
  const text = [
    '# Fields of requests',
    '',
    'Every field that OpenAI and vLLM have for a call, and what becomes of it. Nothing is ignored that could change an answer: a',
    'field is read, or cannot change the answer, or is refused by name with REQUEST_UNSUPPORTED unless its value asks for what is',
    'done anyway. Any other field is refused with REQUEST_INVALID, which names the nearest known one. null is as good as absent.',
    'The messages of a protobuf, such as those of `Generate`, have no free fields; protobuf drops what a message does not define.',
    'Generated from src/runtime/server/fields. Ranges and defaults: [requests.md](requests.md#limits-and-defaults).',
    '',
    ...calls.flatMap(section),
  ];
  return new Map([['docs/reference/request-fields.md', text.join('\n')]]);
};
