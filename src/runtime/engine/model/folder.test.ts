import { cp, mkdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import { tinyModel, tinyModelFolder } from '../onnx/graph.fixture.ts';
import { readGraph } from '../onnx/graph.ts';
import { digestModel } from './digest.ts';
import { openModelFolder, readModelGraph, weightFilesOf } from './folder.ts';
import { readSettings } from './settings.ts';
import { openTextCodec } from './tokenizer.ts';

/** The tiny model with all files in one folder. */
const flatCopy = async (): Promise<string> => {
  const folder = folderOfTest();
  await cp(tinyModelFolder('fp32'), folder, { recursive: true });
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
    await cp(join(tinyModelFolder('fp32'), '..', name), join(folder, name));
  }
  return folder;
};

const digestOf = (folder: string, cacheDir = folderOfTest()): Promise<string> => {
  const model = openModelFolder(folder);
  return digestModel(model, weightFilesOf(model, readGraph(tinyModel('fp32'))), {
    cacheDir,
    doing: () => undefined,
  });
};

describe('the folder of a base model', () => {
  it('has its configuration beside the graph or in the parent folder', async () => {
    const flat = await flatCopy();
    expect(openModelFolder(flat).config).toBe(join(flat, 'config.json'));
    expect(openModelFolder(tinyModelFolder('fp32')).config).toBe(
      join(tinyModelFolder('fp32'), '../config.json'),
    );
  });

  it('tells the context, the vocabulary and the end tokens', () => {
    expect(readSettings(openModelFolder(tinyModelFolder('fp32')))).toEqual({
      modelType: 'llama',
      contextLength: 256,
      vocabSize: 259,
      headSize: 16,
      shortPositions: undefined,
      window: undefined,
      windows: undefined,
      softCapped: false,
      eosIds: new Set([2]),
    });
  });

  it.each([
    [{ sliding_window: 8 }, { window: 8 }],
    [{ sliding_window: null }, { window: undefined }],
    [{ sliding_window: 8, use_sliding_window: false }, { window: undefined }],
    [{ sliding_window: 8, layer_types: ['full_attention'] }, { window: undefined }],
    [{ sliding_window: 8, layer_types: ['sliding_attention', 'full_attention'] }, { window: 8 }],
    [
      { sliding_window: 8, num_hidden_layers: 3, layer_types: ['sliding_attention', 'full_attention'] },
      { windows: { tokens: 8, layers: [0] } },
    ],
    [
      { model_type: 'mistral', num_hidden_layers: 3, sliding_window: 8 },
      { windows: { tokens: 8, layers: [0, 1, 2] } },
    ],
    [
      { model_type: 'qwen2', num_hidden_layers: 3, sliding_window: 8, max_window_layers: 1 },
      { windows: { tokens: 8, layers: [1, 2] } },
    ],
    // Which layers these are is not said; and no request is as long.
    [
      { num_hidden_layers: 3, sliding_window: 8 },
      { window: 8, windows: undefined },
    ],
    [
      { model_type: 'phi3', num_hidden_layers: 3, sliding_window: 256 },
      { window: 256, windows: undefined },
    ],
    [{ attn_logit_softcapping: 50 }, { softCapped: true }],
    [{ attn_logit_softcapping: null }, { softCapped: false }],
  ])('tells what attention looks at, of %j', async (said, expected) => {
    const folder = await flatCopy();
    const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as object;
    await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, ...said }));
    expect(readSettings(openModelFolder(folder))).toMatchObject(expected);
  });

  it('tells them by the configuration of GenAI where its builder left it alone', async () => {
    const folder = await flatCopy();
    const known = readSettings(openModelFolder(folder));
    for (const name of ['config.json', 'generation_config.json']) await rm(join(folder, name));
    const model = openModelFolder(folder);
    expect(model.config).toBeUndefined();
    expect(readSettings(model)).toEqual(known);
    expect(await digestOf(folder)).not.toBe(await digestOf(await flatCopy()));
  });

  it.each(['gemma2', 'gemma3', 'mistral', 'phi3'])(
    'asks for config.json of a %s, of which the configuration of GenAI does not say all',
    async (type) => {
      const folder = await flatCopy();
      const path = join(folder, 'genai_config.json');
      const genai = JSON.parse(await readFile(path, 'utf8')) as { model: object };
      await writeFile(path, JSON.stringify({ model: { ...genai.model, type } }));
      expect(readSettings(openModelFolder(folder)).modelType).toBe('llama');
      await rm(join(folder, 'config.json'));
      expect(() => readSettings(openModelFolder(folder))).toThrow(
        expect.objectContaining({
          code: 'MODEL_FILE_MISSING',
          what: expect.stringMatching(/does not say all of a .*, and config\.json is neither in/),
          advice: expect.stringContaining('Copy it from the model that was exported'),
        }),
      );
    },
  );

  it('is that around the graph which is named', async () => {
    const root = folderOfTest();
    await mkdir(join(root, 'onnx'));
    await cp(tinyModelFolder('fp32'), join(root, 'onnx'), { recursive: true });
    await rename(join(root, 'onnx/model.onnx'), join(root, 'onnx/model_q4.onnx'));
    await writeFile(join(root, 'onnx/model_q4f16.onnx'), '');
    for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'generation_config.json']) {
      await cp(join(tinyModelFolder('fp32'), '..', name), join(root, name));
    }
    const model = openModelFolder(root, 'onnx/model_q4.onnx');
    expect(model).toMatchObject({
      folder: join(root, 'onnx'),
      config: join(root, 'config.json'),
      others: ['onnx/model_q4f16.onnx'],
    });
    const weights = weightFilesOf(model, readModelGraph(root, 'onnx/model_q4.onnx'));
    expect(weights).toEqual([join(root, 'onnx/model.onnx.data')]);
    // What it is called and where it lies is no part of what it is.
    const digest = await digestModel(model, weights, { cacheDir: folderOfTest(), doing: () => undefined });
    expect(digest).toBe(await digestOf(tinyModelFolder('fp32')));
  });

  it.each(['config.json', 'tokenizer.json', 'tokenizer_config.json'])(
    'is refused without %s, with where to copy it from',
    async (name) => {
      const folder = await flatCopy();
      for (const gone of [name, 'genai_config.json']) await rm(join(folder, gone));
      expect(() => openModelFolder(folder)).toThrow(
        expect.objectContaining({
          code: 'MODEL_FILE_MISSING',
          what: `${name} is neither in ${folder} nor in its parent folder`,
          advice: expect.stringContaining('Copy it from the model that was exported'),
        }),
      );
    },
  );

  it("is refused with the field that GenAI's configuration lacks", async () => {
    const folder = await flatCopy();
    await rm(join(folder, 'config.json'));
    await writeFile(join(folder, 'genai_config.json'), '{"model": {"type": "llama"}}');
    expect(() => readSettings(openModelFolder(folder))).toThrow(/genai_config\.json: .*context_length/s);
  });

  it('is refused with the field of a configuration that is not right', async () => {
    const folder = await flatCopy();
    await writeFile(join(folder, 'config.json'), '{"model_type": "llama", "vocab_size": -1}');
    expect(() => readSettings(openModelFolder(folder))).toThrow(/config\.json: .*vocab_size/s);
  });

  it.each([
    [
      'more layers than memory has room for',
      { num_hidden_layers: 2 ** 40, sliding_window: 8, model_type: 'mistral' },
    ],
    ['heads of no size', { hidden_size: 4, num_attention_heads: 8, head_dim: null }],
  ])('is refused with %s', async (_, fields) => {
    const folder = await flatCopy();
    const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as object;
    await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, ...fields }));
    expect(() => readSettings(openModelFolder(folder))).toThrow(
      expect.objectContaining({ code: 'MODEL_INVALID' }),
    );
  });

  it.each(['', '.', '\0', 'x'.repeat(300)])('has no weights in the file %j', (location) => {
    const model = openModelFolder(tinyModelFolder('fp32'));
    const initializers = new Map([['w', { bytes: Buffer.alloc(0), dims: [], dataType: 1, location }]]);
    expect(() => weightFilesOf(model, { ...readGraph(tinyModel('fp32')), initializers })).toThrow(
      expect.objectContaining({ code: 'MODEL_FILE_MISSING' }),
    );
  });

  it('has a tokenizer that cannot be used, which is refused', async () => {
    const folder = await flatCopy();
    const path = join(folder, 'tokenizer.json');
    const tokenizer = JSON.parse(await readFile(path, 'utf8')) as object;
    // The one when it is made, the other when it is used.
    for (const change of [
      { model: { type: 'BPE', vocab: null } },
      { post_processor: { type: 'TemplateProcessing' } },
    ]) {
      await writeFile(path, JSON.stringify({ ...tokenizer, ...change }));
      expect(() => openTextCodec(openModelFolder(folder), 300)).toThrow(
        expect.objectContaining({ code: 'MODEL_INVALID' }),
      );
    }
  });

  it.each(['../secret', '/etc/passwd', 'a/../../b'])('may not take weights from %s', (location) => {
    const model = openModelFolder(tinyModelFolder('fp32'));
    const graph = {
      ...readGraph(tinyModel('fp32')),
      initializers: new Map([['w', { bytes: Buffer.alloc(0), dims: [], dataType: 1, location }]]),
    };
    expect(() => weightFilesOf(model, graph)).toThrow(/from outside its folder/);
  });
});

describe('the digest of a base model', () => {
  it('is the same for the same files in another folder and layout', async () => {
    expect(await digestOf(await flatCopy())).toBe(await digestOf(tinyModelFolder('fp32')));
  });

  it('changes with each file that changes answers', async () => {
    const seen = new Set([await digestOf(tinyModelFolder('fp32'))]);
    for (const name of [
      'model.onnx.data',
      'tokenizer.json',
      'tokenizer_config.json',
      'config.json',
      'genai_config.json',
    ]) {
      const folder = await flatCopy();
      await writeFile(join(folder, name), `changed ${name}`);
      seen.add(await digestOf(folder));
    }
    expect(seen.size).toBe(6);
  });

  it('is remembered until a size or a modification time changes', async () => {
    const folder = await flatCopy();
    const cache = join(folderOfTest(), 'cache');
    await mkdir(cache);
    const first = await digestOf(folder, cache);
    const weights = join(folder, 'model.onnx.data');
    const old = openModelFolder(folder);
    expect(old.folder).toBe(folder);
    await writeFile(join(folder, 'generation_config.json'), '{"eos_token_id": [2, 1], "more": 1}');
    const second = await digestOf(folder, cache);
    expect(second).not.toBe(first);
    await utimes(weights, 1, 1);
    expect(await digestOf(folder, cache)).toBe(second);
  });
});
