import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { artifactOf, fileLayer } from '../../artifact/artifact.fixture.ts';
import { parseReference } from '../../artifact/reference.ts';
import { tinyFolder } from '../adapter/peft-folder.fixture.ts';
import { registrySource } from './check-source.ts';

const image = parseReference('registry.example/models/tiny:v1');

describe('a model in a registry that is checked', () => {
  it('comes with what describes it, and with no weights, whoever they are for', async () => {
    const artifact = artifactOf([
      fileLayer('config.json', '{"model_type":"llama"}'),
      fileLayer('tokenizer.model', 'pieces'),
      fileLayer('model.safetensors', 'weights of another engine'),
      fileLayer('onnx/model.onnx', await readFile(join(tinyFolder, 'model/onnx-fp32/model.onnx'))),
      fileLayer('onnx/model.onnx.data', 'weights'),
      fileLayer('onnx/model_q8.onnx.data', 'weights of another graph'),
    ]);
    const registry: Parameters<typeof registrySource>[0] = {
      manifest: async () => artifact.manifest,
      blob: async (_, { digest }, { path }) => await writeFile(path, artifact.blobs.get(digest) ?? ''),
    };
    await using source = await registrySource(registry, image, { signal: new AbortController().signal });
    const { folder, choose, weightBytes } = source.place;
    expect(choose().file).toBe('onnx/model.onnx');
    expect((await readdir(folder)).sort()).toEqual(['config.json', 'onnx', 'tokenizer.model']);
    expect(await readdir(join(folder, 'onnx'))).toEqual(['model.onnx']);
    expect(await weightBytes(join(folder, 'onnx/model.onnx.data'))).toBe('weights'.length);
    expect(source.digest).toBe(artifact.digest);
  });
});
