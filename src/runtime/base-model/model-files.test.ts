import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { modelFilesOf } from './model-files.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'adaptlet-model-files-'));
});
afterEach(() => rm(folder, { recursive: true }));

it.each(['{', '[{"type":1}]', '\0', '[[[['])(
  'packs a model whose modules.json is %j as it is',
  async (text) => {
    for (const [name, content] of [
      ['model.onnx', 'x'],
      ['config.json', '{}'],
      ['modules.json', text],
    ] as const)
      await writeFile(join(folder, name), content);
    const files = await modelFilesOf(join(folder, 'model.onnx'), []);
    expect(files.map(({ name }) => name)).toEqual(['config.json', 'modules.json', 'model.onnx']);
  },
);
