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
let path: string;
let count = 0;
const fresh = (): string => join(root, `${(count += 1)}`);
beforeAll(async () => {
  path = join(root, 'weights');
  await writeFile(path, new Uint8Array(Float32Array.of(9, 4, -8, 1, 2, 3).buffer));
});

const [q, k, o] = ['q_proj', 'k_proj', 'o_proj'].map((name) => `model.layers.0.self_attn.${name}`);

/** q and k are one node, whose biases are 4, -8 and 1; o has none. */
const targetWith = (
  without?: 'added' | 'weights',
  weights: CompileTarget['weights'] = 'stored',
): CompileTarget => {
  const part = (offset: number, length: number) => ({ path, offset, length });
  const readable = [
    { stored: { kind: 'columns', values: part(0, 8) }, columns: 1, first: 0, width: 1 },
  ] as const;
  const features = { inFeatures: 2, outFeatures: 2 };
  return {
    ...tinyTarget,
    weights,
    sites: [
      {
        module: q!,
        ...features,
        ...(without === 'weights' ? {} : { weights: readable }),
        ...(without === 'added' ? {} : { added: [{ width: 2, values: part(4, 8) }] }),
      },
      {
        module: k!,
        inFeatures: 2,
        outFeatures: 1,
        weights: readable,
        added: [{ width: 1, values: part(12, 4) }],
      },
      { module: o!, ...features, weights: readable, added: [{ width: 2 }] },
    ],
  };
};

const name = (module: string | undefined, part: string): string => `base_model.model.${module}.${part}`;
const good = () => ({
  [name(q, 'lora_A.weight')]: float32([1, 2], [1, 2]),
  [name(q, 'lora_B.weight')]: float32([2, 1], [3, 4]),
  [name(q, 'base_layer.bias')]: float32([2], [5, -5]),
  [name(k, 'bias')]: float32([1], [0.5]),
});

const adapter = (
  tensors: Readonly<Record<string, FixtureTensor>> = {},
  fields: Readonly<Record<string, unknown>> = {},
): Promise<string> =>
  writeAdapter(
    fresh(),
    { r: 1, lora_alpha: 2, target_modules: ['q_proj'], bias: 'all', ...fields },
    safetensors({ ...good(), ...tensors }),
  );

const compile = async (folder: string, target = targetWith()) => {
  const outFile = fresh();
  await compileAdapter({ folder, digest: fakeDigest('a'), target, outFile, maxRank: 8 });
  return (await compiledValues(outFile)).values;
};

describe('biases in place of those of the base', () => {
  it('are shifts: the difference to what the base adds', async () => {
    const values = await compile(await adapter());
    expect(values.get(`${q} shifts`)).toEqual(Float32Array.of(5 - 4, -5 + 8));
    expect(values.get(`${q} B`)).toEqual(Float32Array.of(6, 8));
    // Of a linear without LoRA, beside a pair that changes nothing.
    expect(values.get(`${k} shifts`)).toEqual(Float32Array.of(0.5 - 1));
    expect(values.get(`${k} A`)).toEqual(new Float32Array(2));
    expect(values.get(`${k} B`)).toEqual(new Float32Array(1));
  });

  it('come on top of biases of B', async () => {
    const tensors = { [name(q, 'lora_B.bias')]: float32([2], [10, 20]) };
    const values = await compile(await adapter(tensors, { lora_bias: true }));
    expect(values.get(`${q} shifts`)).toEqual(Float32Array.of(1 + 20, 3 + 40));
  });

  it.each<[string, Readonly<Record<string, FixtureTensor>>, ('added' | 'weights')?]>([
    ['a norm', { [name('model.layers.0.input_layernorm', 'bias')]: float32([2], [1, 1]) }],
    ['a module outside of the layers', { [name('model.other', 'bias')]: float32([2], [1, 1]) }],
    ['a linear without one', { [name(o, 'bias')]: float32([2], [1, 1]) }],
    ['another width', { [name(k, 'bias')]: float32([2], [1, 1]) }],
    ['two dimensions', { [name(k, 'bias')]: float32([1, 1], [1]) }],
    ['one module, twice', { [name(q, 'bias')]: float32([2], [1, 1]) }],
    ['a linear whose bias is not known', {}, 'added'],
    ['a linear that may add it within its product', {}, 'weights'],
  ])('are refused of %s', async (_, tensors, without) => {
    const folder = await adapter(tensors);
    expect(await codeOf(() => compile(folder, targetWith(without)))).toBe('ADAPTER_BIAS');
  });

  it('are refused without the native operator, or where they are no numbers', async () => {
    expect(await codeOf(async () => compile(await adapter(), targetWith(undefined, 'float32')))).toBe(
      'ADAPTER_NEEDS_OPERATOR',
    );
    const broken = await adapter({ [name(k, 'bias')]: float32([1], [NaN]) });
    expect(await codeOf(() => compile(broken))).toBe('ADAPTER_NOT_FINITE');
    expect(await codeOf(() => checkPeftFolder(broken, 8))).toBe('ADAPTER_NOT_FINITE');
  });

  it('are kept by a conversion, and have no sum', async () => {
    const folder = await adapter();
    await checkPeftFolder(folder, 8);
    const outFolder = fresh();
    await convertAdapter({ folder, outFolder, to: 'float16', maxRank: 8 });
    expect(await compile(outFolder)).toEqual(await compile(folder));
    const parents = [{ folder, digest: fakeDigest('a'), weight: 1 }];
    const merge = { parents, method: 'cat', outFolder: fresh(), maxRank: 8 } as const;
    expect(await codeOf(() => composeAdapters(merge))).toBe('ADAPTERS_NOT_COMPOSABLE');
  });
});
