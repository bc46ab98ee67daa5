import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { modelFilesOf } from './model-files.ts';

let folder: string;
beforeEach(() => {
  folder = folderOfTest();
});

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
