import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EngineOptions } from '../../src/runtime/engine/client/client.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';
import { ask, launchTiny, request, startTiny } from './support/engine.ts';
import { golden, tinyAdapters, tinyFolder, tinyModel } from './support/tiny.ts';

const hub = join(tinyFolder, '../hub');

/** What ONNX Runtime GenAI's model builder leaves: no config.json, no generation_config.json. */
const builderFolder = async (): Promise<string> => {
  const folder = folderOfFile();
  await cp(tinyModel('fp32'), folder, { recursive: true });
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    await cp(join(tinyFolder, 'model', name), join(folder, name));
  return folder;
};

describe('a base model as people have it', () => {
  it.each([
    [
      'of the model builder, without config.json',
      async () => ({ modelDir: await builderFolder() }),
      'model.onnx',
    ],
    ['of a hub', async () => ({ modelDir: hub }), 'onnx/model.onnx'],
    [
      'of a hub, by the name of its graph with weights of its own',
      async () => ({ modelDir: hub, modelFile: 'onnx/model_q4.onnx' }),
      'onnx/model_q4.onnx',
    ],
    [
      'of a hub, in float16 with 4 bits',
      async () => ({ modelDir: hub, modelFile: 'onnx/model_q4f16.onnx' }),
      'onnx/model_q4f16.onnx',
    ],
    [
      'in the folder of the graphs of a hub',
      async () => ({ modelDir: join(hub, 'onnx'), modelFile: 'model_q4.onnx' }),
      'model_q4.onnx',
    ],
  ])('%s gives the golden answers of base and adapters', async (_, options, file) => {
    const given = await options();
    const { engine, files, log } = await startTiny(given);
    expect(engine.info()).toMatchObject({
      graphFile: join(given.modelDir, file),
      architecture: 'llama',
      contextLength: 256,
      vocabSize: 259,
      limits: [],
    });
    expect(log).toContainEqual(
      expect.objectContaining({
        message: 'the engine is ready',
        keys: expect.objectContaining({ graphFile: join(given.modelDir, file) }),
      }),
    );
    for (const name of tinyAdapters) await engine.load(name, files[name] ?? '');
    for (const [index, { text }] of golden.prompts.entries()) {
      for (const name of [null, ...tinyAdapters]) {
        const expected = golden.models[name ?? 'base']?.greedy[index];
        const answer = await ask(engine, request(name, text, { maxTokens: expected?.ids.length ?? 0 }));
        expect(answer.ids).toEqual(expected?.ids);
      }
    }
    await engine.close();
  });

  it('has a digest for each of its graphs', async () => {
    const digests = new Set<string>();
    for (const modelFile of ['onnx/model.onnx', 'onnx/model_q4.onnx']) {
      const { engine } = await startTiny({ modelDir: hub, modelFile });
      digests.add(engine.info().baseDigest);
      await engine.close();
    }
    expect(digests.size).toBe(2);
  });

  it.each<[string, string, RegExp]>([
    [
      'linears of integers',
      'onnx/model_quantized.onnx',
      /model_quantized\.onnx has its linears as MatMulInteger/,
    ],
  ])('with %s is refused with the file to take instead', async (_, modelFile, why) => {
    const refused: Partial<EngineOptions> = { modelDir: hub, modelFile };
    const { engine } = launchTiny(refused);
    await waitFor('the reason', () => engine.failure !== undefined);
    expect(engine.failure).toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      what: expect.stringMatching(why),
      advice: 'Take onnx/model_q4.onnx: --model-file onnx/model_q4.onnx.',
    });
    await engine.close();
  });
});
