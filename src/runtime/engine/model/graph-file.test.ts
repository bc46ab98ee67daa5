import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import { chooseGraph, chooseGraphIn, findGraph } from './graph-file.ts';

const folderWith = (...files: readonly string[]): string => {
  const folder = folderOfTest();
  for (const file of files) {
    mkdirSync(join(folder, file, '..'), { recursive: true });
    writeFileSync(join(folder, file), '');
  }
  return folder;
};

/** As hubs have a model for browsers. */
const hub = [
  'config.json',
  'onnx/model.onnx',
  'onnx/model_q4.onnx',
  'onnx/model_q4.onnx_data',
  'onnx/model_q4f16.onnx',
];

describe('the graph of a base model', () => {
  it.each([
    ['the only one', ['model_q4.onnx', 'model_q4.onnx_data', 'config.json'], 'model_q4.onnx', 'only'],
    ['the only one in onnx/', ['config.json', 'onnx/model_q4f16.onnx'], 'onnx/model_q4f16.onnx', 'only'],
    ['model.onnx', ['model.onnx', 'model_quantized.onnx'], 'model.onnx', 'model.onnx'],
    ['model.onnx in onnx/', hub, 'onnx/model.onnx', 'model.onnx'],
    ['that of the folder itself', ['model.onnx', 'onnx/model.onnx'], 'model.onnx', 'model.onnx'],
  ] as const)('is %s', (_, files, file, reason) => {
    const folder = folderWith(...files);
    expect(chooseGraphIn(folder)).toMatchObject({ file, reason });
    expect(findGraph(folder)).toBe(join(folder, file));
  });

  it.each([
    ['onnx/model_q4.onnx', hub],
    ['./onnx/model_q4.onnx', hub],
    ['cpu/int4/model_q4.onnx', ['cpu/int4/model_q4.onnx', 'model.onnx']],
  ])('is the one that is named: %s', (file, files) => {
    const folder = folderWith(...files);
    expect(chooseGraphIn(folder, file)).toMatchObject({ reason: 'named' });
    expect(findGraph(folder, file)).toBe(join(folder, file));
  });

  it.each([
    [
      'several, with the one to take',
      ['onnx/model_fp16.onnx', 'onnx/model_q4.onnx'],
      undefined,
      'MODEL_INVALID',
      /several ONNX files: .*--model-file onnx\/model_q4\.onnx/s,
    ],
    [
      'several of an old optimum, with how to export again',
      ['onnx/decoder_model.onnx', 'onnx/decoder_model_merged.onnx', 'onnx/decoder_with_past_model.onnx'],
      undefined,
      'MODEL_INVALID',
      /Export it as one graph with keys and values/,
    ],
    [
      'several whose names say nothing',
      ['a.onnx', 'b.onnx'],
      undefined,
      'MODEL_INVALID',
      /Name the one to take with --model-file\.$/,
    ],
    [
      'none, when there is GGUF',
      ['model-Q4_K_M.gguf', 'config.json'],
      undefined,
      'MODEL_FILE_MISSING',
      /GGUF is the format of llama\.cpp.*bring-your-base-model/s,
    ],
    [
      'none, when there are weights of PyTorch',
      ['model.safetensors'],
      undefined,
      'MODEL_FILE_MISSING',
      /weights of PyTorch: export them/,
    ],
    [
      'none',
      ['config.json'],
      undefined,
      'MODEL_FILE_MISSING',
      /model\.onnx is not in .*nor another ONNX file/,
    ],
    [
      'none of that name',
      hub,
      'onnx/model_q8.onnx',
      'MODEL_FILE_MISSING',
      /onnx\/model_q8\.onnx is not in .*its ONNX files are onnx\/model\.onnx, onnx\/model_q4\.onnx/,
    ],
    [
      'a name that leaves the folder',
      hub,
      '../model.onnx',
      'CONFIG_INVALID',
      /--model-file "\.\.\/model\.onnx" is no ONNX file below/,
    ],
    ['an absolute name', hub, '/etc/model.onnx', 'CONFIG_INVALID', /such as onnx\/model_q4\.onnx/],
    ['a name of another file', hub, 'config.json', 'CONFIG_INVALID', /no ONNX file/],
  ] as const)('is refused: %s', (_, files, file, code, message) => {
    const choose = () => chooseGraphIn(folderWith(...files), file);
    expect(choose).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });

  it('is missing in a folder that is not there', () => {
    expect(() => findGraph('/nowhere/at/all')).toThrow(
      expect.objectContaining({ code: 'MODEL_FILE_MISSING' }),
    );
  });

  it('is one of the files, or an error, whatever they are called', () => {
    const name = fc.array(fc.constantFrom('onnx', 'model', 'model.onnx', 'a.onnx', 'b.gguf'), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(name.map((parts) => parts.join('/'))),
        fc.option(fc.string(), { nil: undefined }),
        (files, file) => {
          try {
            const { file: chosen, others } = chooseGraph(files, { where: 'here', file });
            expect([...others, chosen].toSorted()).toEqual(
              files.filter((each) => each.endsWith('.onnx')).toSorted(),
            );
          } catch (error) {
            expect(error).toMatchObject({ name: 'AdaptletError' });
          }
        },
      ),
    );
  });
});
