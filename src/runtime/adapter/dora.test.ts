import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { folderOfTests } from '../../../test/support/temporary-folder.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import type { CompileTarget, Site } from '../compiled/compile-target.ts';
import { CompiledFolder } from '../compiled/compiled-folder.ts';
import { compiledValues } from '../compiled/compiled-values.fixture.ts';
import { checkPeftFolder } from './check-folder.ts';
import { compileAdapter } from './compile.ts';
import { createCompiler } from './compiler.ts';
import { convertAdapter } from './conversion/convert.ts';
import { type FixtureTensor, float32, safetensors, tinyTarget, writeAdapter } from './peft-folder.fixture.ts';

const root = folderOfTests();
let target: CompileTarget;
const site: Site = { module: 'model.layers.0.self_attn.q_proj', inFeatures: 4, outFeatures: 3 };
/** [in, out]: rows of W are 1 2 2 4, 0 0 3 4 and 0 0 0 0. */
const columns = [1, 0, 0, 2, 0, 0, 2, 3, 0, 4, 4, 0];

beforeAll(async () => {
  const path = join(root, 'weights');
  await writeFile(path, new Uint8Array(Float32Array.from(columns).buffer));
  const values = { path, offset: 0, length: 4 * columns.length };
  const weights = [{ stored: { kind: 'columns', values }, columns: 3, first: 0, width: 3 }] as const;
  target = { ...tinyTarget, sites: [{ ...site, weights }], weights: 'stored' };
});

const module = `base_model.model.${site.module}`;
/** B A has the rows 0 0 0 0, 0 0 0 0 and 6 8 0 0, with a scale of 2. */
const pair = {
  [`${module}.lora_A.weight`]: float32([1, 4], [3, 4, 0, 0]),
  [`${module}.lora_B.weight`]: float32([3, 1], [0, 0, 1]),
};
let count = 0;
const adapter = (
  fields: Readonly<Record<string, unknown>>,
  tensors: Readonly<Record<string, FixtureTensor>>,
): Promise<string> =>
  writeAdapter(
    join(root, `adapter-${(count += 1)}`),
    { r: 1, lora_alpha: 2, target_modules: ['q_proj'], ...fields },
    safetensors({ ...pair, ...tensors }),
  );
const dora = (magnitudes: readonly number[]): Promise<string> =>
  adapter({ use_dora: true }, { [`${module}.lora_magnitude_vector`]: float32([3], magnitudes) });
const biased = (): Promise<string> =>
  adapter({ lora_bias: true }, { [`${module}.lora_B.bias`]: float32([3], [1, -2, 0.5]) });

const compile = async (folder: string, to = target) => {
  const outFile = join(root, `out-${(count += 1)}`);
  await compileAdapter({ folder, digest: fakeDigest('a'), target: to, outFile, maxRank: 8 });
  return (await compiledValues(outFile)).values;
};

describe('DoRA', () => {
  it('is a factor for each feature: its magnitude over the length of its row of W + B A', async () => {
    const values = await compile(await dora([10, 1, -5]));
    expect(values.get(`${site.module} factors`)).toEqual(Float32Array.of(2, 0.2, -0.5));
    expect(values.get(`${site.module} shifts`)).toBeUndefined();
    // The factor of B and the factors are applied one after the other.
    expect(values.get(`${site.module} B`)).toEqual(Float32Array.of(0, 0, 2));
  });

  it('is refused where the weights of the base cannot be read, with what to do', async () => {
    const folder = await dora([1, 1, 1]);
    await expect(compile(folder, { ...target, sites: [site] })).rejects.toMatchObject({
      code: 'ADAPTER_DORA',
      message: expect.stringContaining('cannot be read here'),
    });
  });

  it('is refused where a magnitude, or what it is divided by, is no number', async () => {
    expect(await codeOf(async () => compile(await dora([1, Number.NaN, 1])))).toBe('ADAPTER_NOT_FINITE');
    const folder = await adapter(
      { use_dora: true },
      {
        [`${module}.lora_A.weight`]: float32([1, 4], [0, 0, 0, 0]),
        [`${module}.lora_magnitude_vector`]: float32([3], [1, 1, 1]),
      },
    );
    expect(await codeOf(() => compile(folder))).toBe('ADAPTER_NOT_FINITE');
  });
});

describe('biases of B', () => {
  it('are shifts, times what B is multiplied by', async () => {
    const values = await compile(await biased());
    expect(values.get(`${site.module} shifts`)).toEqual(Float32Array.of(2, -4, 1));
    expect(values.get(`${site.module} factors`)).toBeUndefined();
  });
});

describe.each([
  ['DoRA', () => dora([1, 2, 3]), `${module}.lora_magnitude_vector`],
  ['biases of B', biased, `${module}.lora_B.bias`],
] as const)('%s', (_, make, tensor) => {
  it('is refused without the native operator, also where it was compiled with it', async () => {
    const folder = await make();
    const dir = join(root, `compiled-${(count += 1)}`);
    await using compiler = createCompiler({
      folder: await CompiledFolder.open({ dir }),
      workers: 1,
      maxRank: 8,
      log: silentLog,
    });
    const { signal } = new AbortController();
    const asked = { digest: fakeDigest('a'), folder, bytes: 0, verify: async () => undefined };
    const portable: CompileTarget = { ...target, weights: 'float32' };
    expect(await codeOf(() => compiler.compile(asked, portable, signal))).toBe('ADAPTER_NEEDS_OPERATOR');
    expect(await readdir(dir)).toEqual([]);
    await compiler.compile(asked, target, signal);
    expect(await readdir(dir)).toHaveLength(1);
    expect(await codeOf(() => compiler.compile(asked, portable, signal))).toBe('ADAPTER_NEEDS_OPERATOR');
  });

  it('is kept by a conversion, and checked before a push', async () => {
    const folder = await make();
    const outFolder = join(root, `converted-${(count += 1)}`);
    await convertAdapter({ folder, outFolder, to: 'float16', maxRank: 8 });
    const [before, after] = [await compile(folder), await compile(outFolder)];
    expect(after).toEqual(before);
    await checkPeftFolder(outFolder, 8);
    const broken = await adapter(tensor.endsWith('bias') ? { lora_bias: true } : { use_dora: true }, {
      [tensor]: float32([3], [1, Infinity, 1]),
    });
    expect(await codeOf(() => checkPeftFolder(broken, 8))).toBe('ADAPTER_NOT_FINITE');
  });
});
