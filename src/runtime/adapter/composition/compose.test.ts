import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOfTests } from '../../../../test/support/temporary-folder.ts';
import { fakeDigest } from '../../../api/names.fixture.ts';
import { codeOf } from '../../../errors/code-of.fixture.ts';
import { compiledValues } from '../../compiled/compiled-values.fixture.ts';
import { readStructure } from '../check-folder.ts';
import { compileAdapter } from '../compile.ts';
import { float32, safetensors, tinyFolder, tinyTarget, writeAdapter } from '../peft-folder.fixture.ts';
import { openPeftFolder } from '../peft-folder.ts';
import { floatsOf } from '../weights.ts';
import type { Method } from './combine.ts';
import { composeAdapters } from './compose.ts';

const fixtures = join(tinyFolder, '../..');
const adapters = join(fixtures, 'adapters');
const compositions = join(fixtures, 'compositions');

type Case = {
  readonly name: string;
  readonly parents: Readonly<Record<string, number>>;
  readonly combination_type: Method;
  readonly svd_rank?: number;
};
const { cases } = JSON.parse(await readFile(join(compositions, 'cases.json'), 'utf8')) as {
  readonly cases: readonly Case[];
};

const root = folderOfTests();
let count = 0;
const fresh = (): string => join(root, `out-${(count += 1)}`);

const compose = async (
  parents: Readonly<Record<string, number>>,
  method: Method = 'cat',
  more: { readonly rank?: number; readonly outFolder?: string; readonly maxRank?: number } = {},
): Promise<string> => {
  const outFolder = more.outFolder ?? fresh();
  await composeAdapters({
    parents: Object.entries(parents).map(([folder, weight], at) => ({
      folder: folder.startsWith('/') ? folder : join(adapters, folder),
      digest: fakeDigest('abcdef'[at]!),
      weight,
    })),
    method,
    rank: more.rank,
    outFolder,
    maxRank: more.maxRank ?? 256,
  });
  return outFolder;
};

type Read = {
  readonly rank: number;
  readonly scale: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
};

const readAll = async (folder: string): Promise<ReadonlyMap<string, Read>> => {
  await using peft = await openPeftFolder(folder, 'any');
  const { pairs } = await readStructure(folder, peft, 256);
  const data = await peft.readData();
  return new Map(
    pairs.map(({ site, rank, scale, a, b }) => [
      site.module,
      { rank, scale, a: floatsOf(a, data, 1), b: floatsOf(b, data, 1) },
    ]),
  );
};

/** The change of the weight, [out, in]. */
const product = ({ rank, scale, a, b }: Read): Float64Array => {
  const [outFeatures, inFeatures] = [b.length / rank, a.length / rank];
  return Float64Array.from({ length: outFeatures * inFeatures }, (_, at) => {
    const [out, column] = [Math.floor(at / inFeatures), at % inFeatures];
    let sum = 0;
    for (let k = 0; k < rank; k += 1) sum += b[out * rank + k]! * a[k * inFeatures + column]!;
    return scale * sum;
  });
};

const furthest = (x: ArrayLike<number>, y: ArrayLike<number>): number => {
  if (x.length !== y.length) return Infinity;
  return Array.from(x).reduce((most, value, at) => Math.max(most, Math.abs(value - y[at]!)), 0);
};

describe('what PEFT merges', () => {
  it('has a folder for each case', async () => {
    const folders = (await readdir(compositions, { withFileTypes: true })).filter((entry) =>
      entry.isDirectory(),
    );
    expect(folders.map(({ name }) => name).sort()).toEqual(cases.map(({ name }) => name).sort());
  });

  it.each(cases)('$name: the same changes of the same modules', async (one) => {
    const rank = one.svd_rank;
    const made = await readAll(
      await compose(one.parents, one.combination_type, rank === undefined ? {} : { rank }),
    );
    const peft = await readAll(join(compositions, one.name));
    expect([...made.keys()].sort()).toEqual([...peft.keys()].sort());
    // PEFT computes in float32 throughout, the values reach 2.
    const tolerance = one.combination_type === 'svd' ? 2e-6 : 1e-6;
    for (const [module, expected] of peft) {
      const got = made.get(module)!;
      expect(furthest(product(got), product(expected))).toBeLessThan(tolerance);
      expect(Math.max(...product(got))).toBeGreaterThan(0.01);
      if (one.combination_type === 'svd' || got.rank !== expected.rank) continue;
      expect(furthest(got.a, expected.a)).toBeLessThan(2e-7);
      expect(furthest(got.b, expected.b)).toBeLessThan(2e-7);
    }
  });
});

describe('a merged folder', () => {
  const parents = { plain: 0.7, rslora: 0.3 };

  it('is the weighted sum of its parents for a node, also by svd with all of the rank', async () => {
    const own = await Promise.all(
      Object.entries(parents).map(async ([name, weight]) => ({
        weight,
        pairs: await readAll(join(adapters, name)),
      })),
    );
    for (const folder of [await compose(parents), await compose(parents, 'svd', { rank: 5 })]) {
      const outFile = fresh();
      const input = { folder, digest: fakeDigest('a'), target: tinyTarget, outFile, maxRank: 256 };
      await compileAdapter(input);
      const { header, values } = await compiledValues(outFile);
      expect(header.rank).toBe(5);
      for (const module of new Set(header.tensors.map((tensor) => tensor.module))) {
        const [a, b] = [values.get(`${module} A`)!, values.get(`${module} B`)!];
        const rank = header.tensors.find((tensor) => tensor.module === module)!.shape[0];
        const outFeatures = b.length / rank;
        // Compiled files have B transposed.
        const asPeft = Float32Array.from(b, (_, at) => b[(at % rank) * outFeatures + Math.floor(at / rank)]!);
        const sum = new Float64Array((outFeatures * a.length) / rank);
        for (const { weight, pairs } of own) {
          for (const [at, value] of product(pairs.get(module)!).entries()) sum[at]! += weight * value;
        }
        expect(furthest(product({ rank, scale: 1, a, b: asPeft }), sum)).toBeLessThan(1e-6);
      }
    }
  });

  it('has the same bytes each time, and names its parents', async () => {
    for (const method of ['cat', 'svd'] as const) {
      const [first, second] = [await compose(parents, method), await compose(parents, method)];
      const names = await readdir(first);
      expect(names.sort()).toEqual([
        'adapter_config.json',
        'adapter_model.safetensors',
        'adaptlet_parents.json',
      ]);
      for (const name of names)
        expect((await readFile(join(first, name))).equals(await readFile(join(second, name)))).toBe(true);
      expect(JSON.parse(await readFile(join(first, 'adaptlet_parents.json'), 'utf8'))).toEqual({
        method,
        parents: [
          { digest: fakeDigest('a'), weight: 0.7 },
          { digest: fakeDigest('b'), weight: 0.3 },
        ],
      });
    }
  });

  it('keeps the ranks of modules that not all parents have', async () => {
    const config = JSON.parse(
      await readFile(join(await compose({ plain: 1, 'layers-one': 1 }), 'adapter_config.json'), 'utf8'),
    ) as Record<string, unknown>;
    expect(config).toMatchObject({ r: 4, lora_alpha: 4 });
    expect(config['rank_pattern']).toEqual({
      'model.layers.0.self_attn.q_proj': 2,
      'model.layers.0.self_attn.v_proj': 2,
    });
    expect(config['alpha_pattern']).toEqual(config['rank_pattern']);
  });
});

const module = 'base_model.model.model.layers.0.self_attn.q_proj';
const halves = (length: number): readonly number[] => Array.from({ length }, () => 0.5);
const madeByHand = (
  name: string,
  fields: Readonly<Record<string, unknown>>,
  [inFeatures, outFeatures] = [64, 64],
): Promise<string> =>
  writeAdapter(
    join(root, name),
    { r: 2, lora_alpha: 4, target_modules: ['q_proj'], ...fields },
    safetensors({
      [`${module}.lora_A.weight`]: float32([2, inFeatures], halves(2 * inFeatures)),
      [`${module}.lora_B.weight`]: float32([outFeatures, 2], halves(2 * outFeatures)),
    }),
  );

describe('what is not merged', () => {
  const tiny = { base_model_name_or_path: 'tiny-llama-fixture', task_type: 'CAUSAL_LM' };

  it.each<[string, Record<string, number>, RegExp, Method?]>([
    ['DoRA', { plain: 1, dora: 1 }, /uses DoRA/],
    ['biases of B', { 'lora-bias': 1, plain: 1 }, /has biases of B/],
    ['other ranks by linear', { plain: 1, rslora: 1 }, /linear needs one rank/, 'linear'],
  ])('%s', async (_, parents, text, method = 'cat') => {
    const outFolder = fresh();
    await expect(compose(parents, method, { outFolder })).rejects.toMatchObject({
      code: 'ADAPTERS_NOT_COMPOSABLE',
      message: expect.stringMatching(text),
    });
    expect(await readdir(root)).not.toContain(outFolder.split('/').at(-1));
  });

  it.each<[string, Record<string, unknown>, number[]?]>([
    ['another base model', { ...tiny, base_model_name_or_path: 'other' }],
    ['another task', { ...tiny, task_type: null }],
    ['other shapes', tiny, [32, 64]],
  ])('%s', async (name, fields, shape) => {
    const other = await madeByHand(name, fields, shape as [number, number] | undefined);
    expect(await codeOf(() => compose({ plain: 1, [other]: 1 }))).toBe('ADAPTERS_NOT_COMPOSABLE');
  });

  it('a head', async () => {
    const folder = join(root, 'head');
    await writeAdapter(
      folder,
      { r: 2, target_modules: ['q_proj'], task_type: 'SEQ_CLS', modules_to_save: ['classifier'] },
      safetensors({}),
    );
    expect(await codeOf(() => compose({ [folder]: 1 }))).toBe('ADAPTERS_NOT_COMPOSABLE');
  });

  it('more ranks than a node takes', async () => {
    expect(await codeOf(() => compose({ plain: 1, rslora: 1 }, 'cat', { maxRank: 4 }))).toBe(
      'ADAPTERS_NOT_COMPOSABLE',
    );
  });

  it('what a node refuses, and what would overwrite', async () => {
    expect(await codeOf(() => compose({ plain: 1, 'rank-other': 1 }))).toBe('ADAPTER_RANK_NOT_CONFIG');
    expect(await codeOf(() => compose({ plain: 1 }, 'cat', { outFolder: root }))).toBe(
      'CONVERT_TARGET_EXISTS',
    );
    expect(await codeOf(() => compose({ plain: 1e39 }))).toBe('ADAPTER_NOT_FINITE');
  });
});

describe('a method that is LoRA by another name', () => {
  it.each(['adalora-pruned', 'loha', 'lokr'])(
    '%s: becomes plain LoRA with the same changes',
    async (name) => {
      const folder = await compose({ [name]: 1 });
      const [made, own] = [await readAll(folder), await readAll(join(adapters, name))];
      expect([...made.keys()].sort()).toEqual([...own.keys()].sort());
      for (const [key, pair] of own)
        expect(furthest(product(made.get(key)!), product(pair))).toBeLessThan(1e-5);
      const config = JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8')) as object;
      expect(config).toMatchObject({ peft_type: 'LORA' });
    },
  );
});

describe('an initial adapter', () => {
  const trained = 'pissa-trained';
  const initial = { folder: join(adapters, trained, 'initial'), digest: fakeDigest('e') };
  const subtract = async (changed: Partial<Parameters<typeof composeAdapters>[0]> = {}): Promise<string> => {
    const outFolder = fresh();
    const parents = [{ folder: join(adapters, trained), digest: fakeDigest('d'), weight: 1 }];
    await composeAdapters({ parents, initial, method: 'cat', outFolder, maxRank: 256, ...changed });
    return outFolder;
  };

  it('is subtracted, and named as what counts -1', async () => {
    const folder = await subtract();
    const [began, all] = [await readAll(initial.folder), await readAll(folder)];
    for (const [key, pair] of all) {
      const half = pair.rank / 2;
      expect(pair.rank).toBe(2 * began.get(key)!.rank);
      const behind = pair.a.subarray((pair.a.length / pair.rank) * half);
      const { a, scale } = began.get(key)!;
      expect(
        furthest(
          behind,
          a.map((value) => -value * scale),
        ),
      ).toBeLessThan(1e-6);
    }
    expect(JSON.parse(await readFile(join(folder, 'adaptlet_parents.json'), 'utf8'))).toEqual({
      method: 'cat',
      parents: [
        { digest: fakeDigest('d'), weight: 1 },
        { digest: fakeDigest('e'), weight: -1 },
      ],
    });
  });

  // What PEFT writes of these needs a data set; their pairs are taken away from the base as those of PiSSA are.
  it.each<[string, Readonly<Record<string, unknown>>]>([
    ['corda', { corda_config: { corda_method: 'ipm', cache_file: null, prune_temporary_fields: true } }],
    ['lora_ga', { lora_ga_config: { direction: 'ArB2r', scale: 'stable', stable_gamma: 16 } }],
    ['pissa_niter_16', {}],
  ])('is subtracted of %s as well', async (init_lora_weights, fields) => {
    const folder = fresh();
    await cp(join(adapters, trained), folder, { recursive: true });
    const file = join(folder, 'adapter_config.json');
    const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    await writeFile(file, JSON.stringify({ ...config, init_lora_weights, ...fields }));
    const refused = compileAdapter({
      folder,
      digest: fakeDigest('a'),
      target: tinyTarget,
      outFile: fresh(),
      maxRank: 256,
    });
    await expect(refused).rejects.toThrow(/init_lora_weights.*`adaptlet compose ADAPTER --initial INITIAL/);
    const made = await subtract({ parents: [{ folder, digest: fakeDigest('d'), weight: 1 }] });
    const plain = await subtract();
    for (const name of await readdir(plain))
      expect((await readFile(join(made, name))).equals(await readFile(join(plain, name)))).toBe(true);
  });

  it('has all modules, of the same ranks, and is subtracted once', async () => {
    const only = [{ folder: join(adapters, trained), digest: fakeDigest('d'), weight: 1 }];
    const wrong = [
      { initial: { ...initial, folder: join(adapters, 'layers-one') } },
      { initial: { ...initial, folder: join(adapters, 'rank-one') } },
      { parents: [...only, ...only] },
      { parents: only.map((parent) => ({ ...parent, weight: 2 })) },
      { method: 'svd' as const },
    ];
    for (const changed of wrong)
      expect(await codeOf(() => subtract(changed))).toBe('ADAPTERS_NOT_COMPOSABLE');
  });

  it('does not make up for an initialisation that puts other weights in place of the base', async () => {
    const parents = [{ folder: join(adapters, 'init-loftq'), digest: fakeDigest('d'), weight: 1 }];
    expect(await codeOf(() => subtract({ parents }))).toBe('ADAPTER_INIT_CHANGES_BASE');
    expect(await codeOf(() => compose({ [trained]: 1 }))).toBe('ADAPTER_INIT_CHANGES_BASE');
  });
});
