import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { folderOfTests } from '../../../../test/support/temporary-folder.ts';
import { cpuProvider } from '../ort/providers.ts';
import { kvWishOf, portableText, taskOf } from './open-host.ts';

const folder = folderOfTests();
const withTokenizer = folderOfTests();
beforeAll(() => writeFileSync(join(withTokenizer, 'tokenizer.json'), '{}'));

it('keys and values leave free what adapters and the process of classifiers may come to take', () => {
  const wish = { adapterBudgetBytes: 100, structureBudgetBytes: 30, maxConcurrent: 2 };
  expect(kvWishOf(wish)).toMatchObject({ besideBytes: 130, requests: 2, precision: 'auto' });
  expect(kvWishOf({ ...wish, besideBytes: 512 }).besideBytes).toBe(642);
});

it('a start says what adapters lack without the native operator, why, and how it is had', () => {
  const onCpu = { loraOperator: '', executionProvider: cpuProvider };
  const auto = { wish: 'auto', found: false };
  expect(portableText(onCpu, auto)).toMatch(/different adapters do not share a step.*`make native`.*images/);
  expect(portableText(onCpu, { wish: 'off', found: false })).toMatch(/--lora-operator is off$/);
  expect(portableText(onCpu, { wish: 'auto', found: true })).toMatch(/does not open with/);
  expect(portableText({ ...onCpu, loraOperator: 'avx2' }, auto)).toBeUndefined();
  // It is for the CPU.
  expect(portableText({ ...onCpu, executionProvider: 'CUDAExecutionProvider' }, auto)).toBeUndefined();
});

describe('the task of a base model', () => {
  it.each([
    ['generate', 'a decoder', ['input_ids', 'past_key_values.0.key'], ['logits'], withTokenizer],
    ['embed', 'states of tokens', ['input_ids', 'attention_mask'], ['last_hidden_state'], withTokenizer],
    ['embed', 'a vector of a text', ['input_ids'], ['token_embeddings', 'sentence_embedding'], withTokenizer],
    ['infer', 'a graph without a tokenizer', ['pixels'], ['scores'], folder],
    [
      'generate',
      'an encoder that classifies by itself, which is refused later',
      ['input_ids'],
      ['logits'],
      withTokenizer,
    ],
    [
      'embed',
      'an encoder whose tokenizer is missing, which is said later',
      ['input_ids'],
      ['pooler_output'],
      folder,
    ],
    ['generate', 'other inputs beside a tokenizer', ['text'], ['scores'], withTokenizer],
  ] as const)('is %s for %s', (task, _, inputs, outputs, place) => {
    expect(taskOf(place, { inputs, outputs })).toBe(task);
  });
});
