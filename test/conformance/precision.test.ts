import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertAdapter } from '../../src/runtime/adapter/conversion/convert.ts';
import type { Precision } from '../../src/runtime/adapter/conversion/precision.ts';
import { safetensorsFile } from '../../src/runtime/adapter/conversion/safetensors-file.ts';
import { openPeftFolder } from '../../src/runtime/adapter/peft-folder.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { allLogits, greedy, type OpenModel, openModel } from './support/open-model.ts';
import { operator } from './support/operator.ts';
import {
  compileFor,
  golden,
  goldenLogits,
  greedyOf,
  maxDifference,
  sameBits,
  tinyAdapters,
  tinyFolder,
  tinyModel,
} from './support/tiny.ts';

const configName = 'adapter_config.json';

/** A float32 folder with the values of an int8 one, made as its file describes them. */
const dequantised = async (folder: string, out: string): Promise<string> => {
  await using peft = await openPeftFolder(folder, 'any');
  const data = new DataView(await peft.readData());
  const tensors = peft.entries.map(({ name, shape, begin, scales }) => {
    const [rows = 0, columns = 0] = shape;
    const values = Float32Array.from({ length: rows * columns }, (_, at) => {
      const scale = data.getFloat32((scales?.begin ?? 0) + 4 * Math.floor(at / columns), true);
      return data.getInt8(begin + at) * scale;
    });
    return { name, dtype: 'F32', shape, data: new Uint8Array(values.buffer) };
  });
  await mkdir(out);
  await writeFile(join(out, configName), await readFile(join(folder, configName)));
  await writeFile(join(out, 'adapter_model.safetensors'), safetensorsFile(tensors, { format: 'pt' }));
  return out;
};

describe('adapters in another precision, on the tiny model', () => {
  const folder = folderOfTests();
  let model: OpenModel;

  const load = async (name: string, path: string): Promise<void> => {
    await model.adapters.load(name, await compileFor(model.info, path, folder));
  };

  beforeAll(async () => {
    model = await openModel(tinyModel('fp32'), folder);
    for (const name of tinyAdapters) {
      await load(name, join(tinyFolder, 'adapters', name));
      for (const to of ['float16', 'int8'] satisfies Precision[]) {
        const outFolder = join(folder, `${name}-${to}`);
        await convertAdapter({ folder: join(tinyFolder, 'adapters', name), outFolder, to, maxRank: 64 });
        await load(`${name}-${to}`, outFolder);
      }
    }
  });
  afterAll(() => model.sessions.release());

  const logitsOf = (name: string, ids: readonly number[]) => allLogits(model.adapters.get(name), ids);

  it('float16 and float32 with the same values give the same bits', async () => {
    await load('full', join(tinyFolder, 'variants/valid-fp32'));
    for (const { input_ids } of golden.prompts) {
      const full = await logitsOf('full', input_ids);
      expect(sameBits(await logitsOf('upper', input_ids), full)).toBe(true);
      expect(sameBits(await logitsOf('upper-float16', input_ids), full)).toBe(true);
    }
  });

  it.each(tinyAdapters)('int8 of %s gives what int8 times scale gives in float32', async (name) => {
    const path = await dequantised(join(folder, `${name}-int8`), join(folder, `${name}-dequantised`));
    await load(`${name}-dequantised`, path);
    for (const { input_ids } of golden.prompts) {
      const wide = await logitsOf(`${name}-dequantised`, input_ids);
      const got = await logitsOf(`${name}-int8`, input_ids);
      // The operator multiplies by a scale once for a row or a column; widened, every value was.
      expect(maxDifference(got, wide)).toBeLessThanOrEqual(operator === undefined ? 0 : 1e-5);
    }
  });

  it.each(tinyAdapters)(
    'int8 of %s answers as it was trained to, near the logits of the reference',
    async (name) => {
      const options = { eosIds: model.settings.eosIds, count: 32 };
      for (const [index, { input_ids }] of golden.prompts.entries()) {
        const ids = await greedy(model.adapters.get(`${name}-int8`), input_ids, options);
        expect(ids).toEqual(greedyOf(name)[index]?.ids);
        const lost = maxDifference(await logitsOf(`${name}-int8`, input_ids), goldenLogits(name)[index]!);
        expect(lost).toBeGreaterThan(1e-4);
        expect(lost).toBeLessThan(0.5);
      }
    },
  );
});
