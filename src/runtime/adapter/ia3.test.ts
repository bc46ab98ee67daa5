import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { folderOfTests } from '../../../test/support/temporary-folder.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import type { CompileTarget } from '../compiled/compile-target.ts';
import { compiledValues } from '../compiled/compiled-values.fixture.ts';
import { checkPeftFolder } from './check-folder.ts';
import { compileAdapter } from './compile.ts';
import { composeAdapters } from './composition/compose.ts';
import { convertAdapter } from './conversion/convert.ts';
import { type FixtureTensor, float32, safetensors, tinyTarget, writeAdapter } from './peft-folder.fixture.ts';

const root = folderOfTests();
let bias: { readonly path: string; readonly offset: number; readonly length: number };
let count = 0;
const fresh = (): string => join(root, `${(count += 1)}`);

beforeAll(async () => {
  const path = join(root, 'weights');
  await writeFile(path, new Uint8Array(Float32Array.of(9, 4, -8).buffer));
  bias = { path, offset: 4, length: 8 };
});

const [k, up, down] = ['self_attn.k_proj', 'mlp.up_proj', 'mlp.down_proj'].map(
  (name) => `model.layers.0.${name}`,
);

/** k gives 3 features, to the last two of which a bias is added; up gives the inputs of down. */
const targetWith = (
  unknown?: 'added' | 'inputFactor',
  weights: CompileTarget['weights'] = 'stored',
): CompileTarget => {
  const nothing = (width: number) => [{ width }];
  return {
    ...tinyTarget,
    weights,
    sites: [
      {
        module: k!,
        inFeatures: 4,
        outFeatures: 3,
        ...(unknown === 'added' ? {} : { added: [{ width: 1 }, { width: 2, values: bias }] }),
      },
      { module: up!, inFeatures: 4, outFeatures: 2, added: nothing(2) },
      {
        module: down!,
        inFeatures: 2,
        outFeatures: 4,
        added: nothing(4),
        ...(unknown === 'inputFactor' ? {} : { inputFactor: up! }),
      },
    ],
  };
};

const vector = (module: string | undefined, shape: readonly number[], values: readonly number[]) => ({
  [`base_model.model.${module}.ia3_l`]: float32(shape, values),
});
const good = () => ({ ...vector(k, [3, 1], [2, 0.5, 3]), ...vector(down, [1, 2], [10, 20]) });

const adapter = (
  tensors: Readonly<Record<string, FixtureTensor>> = good(),
  fields: Readonly<Record<string, unknown>> = {},
): Promise<string> =>
  writeAdapter(
    fresh(),
    {
      peft_type: 'IA3',
      target_modules: ['k_proj', 'down_proj'],
      feedforward_modules: ['down_proj'],
      init_ia3_weights: true,
      fan_in_fan_out: false,
      ...fields,
    },
    safetensors(tensors),
  );

const compile = async (folder: string, target = targetWith()) => {
  const outFile = fresh();
  await compileAdapter({ folder, digest: fakeDigest('a'), target, outFile, maxRank: 8 });
  return (await compiledValues(outFile)).values;
};

describe('IA3', () => {
  it('is a factor for each output, of the product and of the bias that is added behind it', async () => {
    const values = await compile(await adapter());
    expect(values.get(`${k} factors`)).toEqual(Float32Array.of(2, 0.5, 3));
    // Added to 4 and -8, they are half and three times of those.
    expect(values.get(`${k} shifts`)).toEqual(Float32Array.of(0, -2, -16));
    expect(values.get(`${k} A`)).toEqual(new Float32Array(4));
    expect(values.get(`${k} B`)).toEqual(new Float32Array(3));
  });

  it('scales inputs as the outputs of the linear that they are made of, times what it has itself', async () => {
    const values = await compile(await adapter());
    expect(values.get(`${up} factors`)).toEqual(Float32Array.of(10, 20));
    expect(values.get(`${up} shifts`)).toBeUndefined();
    expect([...values.keys()].some((name) => name.startsWith(down!))).toBe(false);
    const both = await adapter(
      { ...good(), ...vector(up, [2, 1], [3, 0.5]) },
      { target_modules: '.*_proj', feedforward_modules: '.*down.*' },
    );
    expect((await compile(both)).get(`${up} factors`)).toEqual(Float32Array.of(30, 10));
  });

  it('is refused where the inputs of a linear are something else, or its bias is not known', async () => {
    await expect(compile(await adapter(), targetWith('inputFactor'))).rejects.toMatchObject({
      code: 'ADAPTER_IA3',
      message: expect.stringContaining('scales the inputs of its linear'),
    });
    await expect(compile(await adapter(), targetWith('added'))).rejects.toMatchObject({
      code: 'ADAPTER_IA3',
      message: expect.stringContaining('adds a bias'),
    });
  });

  it('is refused without the native operator', async () => {
    const portable = targetWith(undefined, 'float32');
    expect(await codeOf(async () => compile(await adapter(), portable))).toBe('ADAPTER_NEEDS_OPERATOR');
  });

  it.each<[string, string, () => Promise<string>]>([
    [
      'ADAPTER_SHAPE',
      'a vector of another length',
      () => adapter({ ...good(), ...vector(k, [2, 1], [1, 1]) }),
    ],
    [
      'ADAPTER_SHAPE',
      'one of outputs for inputs',
      () => adapter({ ...good(), ...vector(down, [4, 1], [1, 1, 1, 1]) }),
    ],
    ['ADAPTER_SHAPE', 'one dimension', () => adapter({ ...good(), ...vector(k, [3], [1, 1, 1]) })],
    ['ADAPTER_TENSOR_MISSING', 'a target without one', () => adapter(vector(k, [3, 1], [1, 1, 1]))],
    [
      'ADAPTER_TENSOR_UNTARGETED',
      'one that is no target',
      () => adapter(good(), { target_modules: ['k_proj'] }),
    ],
    [
      'ADAPTER_TARGET_UNMATCHED',
      'a target that is nowhere',
      () => adapter(good(), { target_modules: ['k_proj', 'down_proj', 'x'] }),
    ],
    [
      'ADAPTER_EMBEDDING',
      'the output layer',
      () => adapter({ ...good(), ...vector('lm_head', [9, 1], Array(9).fill(1)) }),
    ],
    [
      'ADAPTER_TENSOR_UNKNOWN',
      'a matrix of LoRA',
      () => adapter({ ...good(), [`base_model.model.${k}.lora_A.weight`]: float32([1, 4], [1, 1, 1, 1]) }),
    ],
    [
      'ADAPTER_WRONG_BASE',
      'modules of another base',
      () => adapter({ ...vector('h.0.x', [1, 1], [1]), ...vector('h.1.x', [1, 1], [1]) }),
    ],
    [
      'ADAPTER_NOT_FINITE',
      'a number that is none',
      () => adapter({ ...good(), ...vector(k, [3, 1], [1, NaN, 1]) }),
    ],
    ['ADAPTER_FIELD_UNKNOWN', 'a field of LoRA', () => adapter(good(), { use_rslora: true })],
    ['ADAPTER_CONFIG_INVALID', 'no word about inputs', () => adapter(good(), { feedforward_modules: null })],
    [
      'ADAPTER_PATTERN_INVALID',
      'an expression that is none',
      () => adapter(good(), { feedforward_modules: '(' }),
    ],
  ])('is refused with %s for %s', async (code, _, make) => {
    const folder = await make();
    expect(await codeOf(() => compile(folder))).toBe(code);
  });

  it('is checked before a push, and neither converted nor merged', async () => {
    const folder = await adapter();
    await checkPeftFolder(folder, 8);
    const broken = await adapter({ ...good(), ...vector(k, [3, 1], [1, Infinity, 1]) });
    expect(await codeOf(() => checkPeftFolder(broken, 8))).toBe('ADAPTER_NOT_FINITE');
    const input = { folder, outFolder: fresh(), to: 'float16', maxRank: 8 } as const;
    expect(await codeOf(() => convertAdapter(input))).toBe('ADAPTER_PEFT_TYPE');
    const parents = [{ folder, digest: fakeDigest('a'), weight: 1 }];
    const merge = { parents, method: 'cat', outFolder: fresh(), maxRank: 8 } as const;
    expect(await codeOf(() => composeAdapters(merge))).toBe('ADAPTERS_NOT_COMPOSABLE');
  });
});
