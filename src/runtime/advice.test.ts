import { expect, it } from 'vitest';
import { readCredentials } from '../artifact/docker-config.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { catalogue } from '../errors/catalogue.ts';
import { fill } from '../measurement/template.ts';
import { maxPatternLength, Patterns } from './adapter/module-pattern.ts';
import { refuseUnsupportedFields } from './adapter/peft-fields.ts';
import { closing, culpritOf } from './engine/failures.ts';
import { familyOf } from './engine/onnx/families.ts';
import { fromWire, toWire } from './engine/protocol.ts';
import { encodeRequest } from './server/encode-options.ts';
import { generateRequest, grpcDefaults } from './server/options.ts';

const caught = async (run: () => unknown): Promise<AdaptletError> => {
  try {
    await run();
  } catch (error) {
    if (error instanceof AdaptletError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

const peft = (fields: object, base?: 'generate' | 'embed' | 'any') => () =>
  refuseUnsupportedFields({ peft_type: 'LORA', ...fields }, base);
const base = {
  name: 'tiny',
  digest: '',
  contextLength: 4,
  vocabSize: 10,
  task: 'embed',
  encoder: { dimensions: 2, maxTokens: 1, pooling: 'mean', normalize: true, wrappers: [] },
} as const;
const text = (length: number) => ({ kind: 'text', text: 'x'.repeat(length) }) as const;

it.each<[string, () => unknown, string, RegExp]>([
  [
    'a classifier on a decoder',
    peft({ task_type: 'SEQ_CLS' }),
    'ADAPTER_TASK_UNSUPPORTED',
    /needs an encoder/,
  ],
  [
    'a translator on a decoder',
    peft({ task_type: 'SEQ_2_SEQ_LM' }),
    'ADAPTER_TASK_UNSUPPORTED',
    /is CAUSAL_LM, or absent/,
  ],
  [
    'a decoder adapter on an encoder',
    peft({ task_type: 'CAUSAL_LM' }, 'embed'),
    'ADAPTER_TASK_UNSUPPORTED',
    /is SEQ_CLS or FEATURE_EXTRACTION, or absent/,
  ],
  [
    'the head of a classifier on a decoder',
    peft({ task_type: 'SEQ_CLS', modules_to_save: ['classifier'] }),
    'ADAPTER_MODULES_TO_SAVE',
    /needs an encoder/,
  ],
  [
    'more than the head on an encoder',
    peft({ task_type: 'SEQ_CLS', modules_to_save: ['pooler'] }, 'embed'),
    'ADAPTER_MODULES_TO_SAVE',
    /only the head of a classifier/,
  ],
  [
    'an expression that is too long',
    () => new Patterns().compile('target_modules', 'x'.repeat(maxPatternLength + 1), 'x'),
    'ADAPTER_PATTERN_INVALID',
    /shorten the expression/,
  ],
  [
    'an architecture that is not known',
    () => familyOf('mamba'),
    'MODEL_UNSUPPORTED',
    /one of these architectures/,
  ],
  [
    'credentials that may not be read',
    () => readCredentials('/', 'r', 'a'),
    'CREDENTIALS_INVALID',
    /Let the process read/,
  ],
  [
    'a placeholder that is none',
    () => fill('{{nothing}}', { namespace: 'default', rollout: 'sql' }),
    'METRIC_UNREADABLE',
    /Use one of \{\{/,
  ],
  [
    'a prompt that alone is too long',
    () => generateRequest(text(65), {}, grpcDefaults, base),
    'PROMPT_TOO_LONG',
    /^Shorten the prompt\.$/,
  ],
  [
    'a text that an encoder does not read',
    () => encodeRequest([text(129)], 'embedding', base),
    'PROMPT_TOO_LONG',
    /^Shorten the text\.$/,
  ],
  [
    'a runtime that is stopping',
    () => {
      throw closing('this runtime is stopping');
    },
    'ENGINE_DOWN',
    /another runtime/,
  ],
])('the advice for %s fits the cause', async (_, run, code, advice) => {
  const error = await caught(run);
  expect(error.code).toBe(code);
  expect(error.advice).toMatch(advice);
  expect(error.advice).not.toBe(catalogue[error.code].advice);
});

it('an adapter is rolled back for what it computes, a base model is not', () => {
  expect(culpritOf('a').advice).toMatch(/Roll the adapter back/);
  expect(culpritOf(null).advice).not.toMatch(/adapter/);
});

it('advice comes along from the engine process', () => {
  const error = closing('The engine is closing');
  expect(fromWire(structuredClone(toWire(error)))).toMatchObject({
    code: error.code,
    message: error.message,
    advice: error.advice,
  });
});
