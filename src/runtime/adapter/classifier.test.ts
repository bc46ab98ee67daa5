import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import type { EncoderTarget } from '../compiled/compile-target.ts';
import { readCompiledHeader } from '../compiled/read-header.ts';
import { compileAdapter } from './compile.ts';
import { type FixtureTensor, float32, safetensors, writeAdapter } from './peft-folder.fixture.ts';

const encoder: EncoderTarget = {
  headFeatures: 2,
  wrappers: ['bert.'],
};
const query = 'encoder.layer.0.attention.self.query';
const sites = [
  { module: query, inFeatures: 2, outFeatures: 2 },
  { module: 'encoder.layer.0.attention.self.value', inFeatures: 2, outFeatures: 2 },
];

const prefix = 'base_model.model.';
const lora = (wrapper = 'bert.'): Record<string, FixtureTensor> => ({
  [`${prefix}${wrapper}${query}.lora_A.weight`]: float32([1, 2], [1, 2]),
  [`${prefix}${wrapper}${query}.lora_B.weight`]: float32([2, 1], [3, 4]),
});
const head = {
  [`${prefix}classifier.weight`]: float32([3, 2], [1, 2, 3, 4, 5, 6]),
  [`${prefix}classifier.bias`]: float32([3], [7, 8, 9]),
};
const config = {
  task_type: 'SEQ_CLS',
  r: 1,
  lora_alpha: 2,
  target_modules: ['query'],
  modules_to_save: ['classifier', 'score'],
};

type Files = Readonly<Record<string, unknown>>;
const folderWith = async (
  tensors: Readonly<Record<string, FixtureTensor>> = { ...lora(), ...head },
  over: Files = {},
  files: Files = { 'labels.json': { labels: ['a', 'b', 'c'] } },
): Promise<string> => {
  const folder = folderOfTest();
  await writeAdapter(folder, { ...config, ...over }, safetensors(tensors));
  for (const [name, content] of Object.entries(files))
    await writeFile(join(folder, name), JSON.stringify(content));
  return folder;
};

const compile = async (folder: string, info: { readonly encoder?: EncoderTarget } = { encoder }) =>
  await compileAdapter({
    folder,
    digest: fakeDigest('a'),
    target: { sites, baseDigest: fakeDigest('b'), engineVersion: 'test 1', weights: 'float32', ...info },
    outFile: join(folder, 'out.bin'),
    maxRank: 8,
  });

const floatsAt = (bytes: Buffer, { offset, length }: { offset: number; length: number }): number[] =>
  Array.from({ length: length / 4 }, (_, at) => bytes.readFloatLE(offset + 4 * at));

describe('an adapter that classifies', () => {
  it('is compiled with its head and its labels, beside its pairs under the names of the base model', async () => {
    const compiled = await compile(await folderWith());
    expect(compiled).toMatchObject({ rank: 1, targetModules: ['query'], labels: ['a', 'b', 'c'] });
    const header = await readCompiledHeader(compiled.file);
    const bytes = await readFile(compiled.file);
    expect(header.tensors.map(({ module }) => module)).toEqual([query, query]);
    expect(header.tensors.map((tensor) => floatsAt(bytes, tensor))).toEqual([
      [1, 2],
      [6, 8],
    ]);
    expect(header.head).toMatchObject({ labels: ['a', 'b', 'c'], activation: 'softmax' });
    if (header.head === undefined) throw new Error('no head');
    expect(floatsAt(bytes, header.head.weight)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(floatsAt(bytes, header.head.bias)).toEqual([7, 8, 9]);
    for (const part of [...header.tensors, header.head.weight, header.head.bias])
      expect(part.offset % 64).toBe(0);
    expect(header.fileBytes).toBe(bytes.length);
  });

  it('matches its patterns by the names of the class that was trained, as PEFT does', async () => {
    const named = { target_modules: [`bert.${query}`], rank_pattern: { [`bert.${query}`]: 1 }, r: 4 };
    expect(await compile(await folderWith(undefined, named))).toMatchObject({ rank: 1 });
    const unnamed = { target_modules: [query], exclude_modules: `bert\\.${query}` };
    await expect(compile(await folderWith(undefined, unnamed))).rejects.toMatchObject({
      code: 'ADAPTER_TENSOR_UNTARGETED',
    });
  });

  it.each<[string, Files, readonly string[], string]>([
    [
      'labels.json before config.json',
      { 'labels.json': { labels: ['x', 'y', 'z'] }, 'config.json': { id2label: { 0: 'a' } } },
      ['x', 'y', 'z'],
      'softmax',
    ],
    ['config.json', { 'config.json': { id2label: { 2: 'c', 0: 'a', 1: 'b' } } }, ['a', 'b', 'c'], 'softmax'],
    ['their numbers', {}, ['LABEL_0', 'LABEL_1', 'LABEL_2'], 'softmax'],
    [
      'their numbers, of a regression',
      { 'config.json': { problem_type: 'regression' } },
      ['LABEL_0', 'LABEL_1', 'LABEL_2'],
      'none',
    ],
    [
      'their numbers, several at once',
      { 'config.json': { problem_type: 'multi_label_classification' } },
      ['LABEL_0', 'LABEL_1', 'LABEL_2'],
      'sigmoid',
    ],
  ])('has labels by %s', async (_, files, labels, activation) => {
    const { file } = await compile(await folderWith(undefined, {}, files));
    expect((await readCompiledHeader(file)).head).toMatchObject({ labels, activation });
  });

  const without = (name: string): Record<string, FixtureTensor> => {
    const every: Record<string, FixtureTensor> = { ...lora(), ...head };
    delete every[`${prefix}${name}`];
    return every;
  };
  const all = { ...lora(), ...head };

  it.each<[string, Record<string, FixtureTensor>, string, RegExp]>([
    ['no weight', without('classifier.weight'), 'ADAPTER_HEAD_INVALID', /no classifier\.weight/],
    ['no bias', without('classifier.bias'), 'ADAPTER_HEAD_INVALID', /no classifier\.bias/],
    [
      'another width',
      { ...all, [`${prefix}classifier.weight`]: float32([3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9]) },
      'ADAPTER_HEAD_INVALID',
      /\[3, 3\], not \[labels, 2\]/,
    ],
    [
      'a bias for other labels',
      { ...all, [`${prefix}classifier.bias`]: float32([2], [1, 2]) },
      'ADAPTER_HEAD_INVALID',
      /\[2\], not \[3\]/,
    ],
    [
      'a head of two layers',
      { ...all, [`${prefix}classifier.dense.weight`]: float32([2, 2], [1, 2, 3, 4]) },
      'ADAPTER_HEAD_INVALID',
      /classifier\.dense\.weight/,
    ],
    [
      'a value that is not finite',
      { ...all, [`${prefix}classifier.bias`]: float32([3], [1, NaN, 3]) },
      'ADAPTER_NOT_FINITE',
      /classifier\.bias/,
    ],
    [
      'a module beside the head',
      { ...all, [`${prefix}bert.pooler.dense.weight`]: float32([2, 2], [1, 2, 3, 4]) },
      'ADAPTER_TENSOR_UNKNOWN',
      /pooler\.dense/,
    ],
  ])('is refused with %s', async (_, tensors, code, message) => {
    await expect(compile(await folderWith(tensors))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it.each<[string, Files, string, RegExp]>([
    [
      'too few',
      { 'labels.json': { labels: ['a'] } },
      'ADAPTER_LABELS_INVALID',
      /names 1 labels; the head has 3/,
    ],
    [
      'one that is there twice',
      { 'labels.json': { labels: ['a', 'a', 'b'] } },
      'ADAPTER_LABELS_INVALID',
      /twice/,
    ],
    [
      'a hole',
      { 'config.json': { id2label: { 0: 'a', 1: 'b', 3: 'd' } } },
      'ADAPTER_LABELS_INVALID',
      /none of the number 2/,
    ],
    [
      'a file that is none',
      { 'labels.json': ['a', 'b', 'c'] },
      'ADAPTER_LABELS_INVALID',
      /labels\.json is not/,
    ],
  ])('is refused with labels of which there are %s', async (_, files, code, message) => {
    await expect(compile(await folderWith(undefined, {}, files))).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it('is refused by a decoder, and where the base model gives nothing that a head takes', async () => {
    await expect(compile(await folderWith(), {})).rejects.toMatchObject({ code: 'ADAPTER_MODULES_TO_SAVE' });
    await expect(compile(await folderWith(lora(), { modules_to_save: null }), {})).rejects.toMatchObject({
      code: 'ADAPTER_TASK_UNSUPPORTED',
    });
    const { headFeatures: _, ...headless } = encoder;
    await expect(compile(await folderWith(), { encoder: headless })).rejects.toMatchObject({
      code: 'ADAPTER_HEAD_INVALID',
    });
  });

  it('may save nothing but its head', async () => {
    const saved = { modules_to_save: ['classifier', 'pooler'] };
    await expect(compile(await folderWith(undefined, saved))).rejects.toMatchObject({
      code: 'ADAPTER_MODULES_TO_SAVE',
    });
  });
});

describe('an adapter of an encoder without a head', () => {
  it('is compiled by the names of either class', async () => {
    const over = { task_type: 'FEATURE_EXTRACTION', modules_to_save: null };
    for (const wrapper of ['', 'bert.']) {
      const compiled = await compile(await folderWith(lora(wrapper), over));
      expect(compiled.labels).toBeUndefined();
      expect((await readCompiledHeader(compiled.file)).head).toBeUndefined();
    }
  });

  it('is refused with a head that it does not announce, and when it was trained to generate', async () => {
    const over = { task_type: 'FEATURE_EXTRACTION', modules_to_save: null };
    await expect(compile(await folderWith(undefined, over))).rejects.toMatchObject({
      code: 'ADAPTER_TENSOR_UNKNOWN',
    });
    const causal = { task_type: 'CAUSAL_LM', modules_to_save: null };
    await expect(compile(await folderWith(lora(), causal))).rejects.toMatchObject({
      code: 'ADAPTER_TASK_UNSUPPORTED',
    });
  });
});
