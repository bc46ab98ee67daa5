import { readFileSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { folderOfTests } from '../../../test/support/temporary-folder.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { compiledMagic, type StoredType, storedBytes, tensorAlignment } from '../compiled/compiled-file.ts';
import { compiledValues } from '../compiled/compiled-values.fixture.ts';
import { memoryLayout } from '../compiled/memory-layout.ts';
import { readCompiledHeader } from '../compiled/read-header.ts';
import { compileAdapter } from './compile.ts';
import {
  brokenVariants,
  type FixtureTensor,
  float32,
  int8,
  safetensors,
  tinyFolder,
  tinySites,
  tinyTarget,
  writeAdapter,
} from './peft-folder.fixture.ts';

const root = folderOfTests();

const compile = (folder: string, name: string, maxRank = 256) =>
  compileAdapter({ folder, digest: fakeDigest('a'), target: tinyTarget, outFile: join(root, name), maxRank });

/** Tensors of a compiled file by `module half`. */
const tensorsOf = async (file: string): Promise<ReadonlyMap<string, Float32Array>> =>
  (await compiledValues(file)).values;

describe('the adapters of the tiny model', () => {
  it('has a code here for each broken variant', async () => {
    const variants = (await readdir(join(tinyFolder, 'variants'))).filter((name) =>
      name.startsWith('broken-'),
    );
    expect(variants.sort()).toEqual(Object.keys(brokenVariants).sort());
  });

  it.each(Object.entries(brokenVariants))('refuses %s with %s and writes nothing', async (variant, code) => {
    expect(await codeOf(() => compile(join(tinyFolder, 'variants', variant), variant))).toBe(code);
    expect((await readdir(root)).filter((name) => name.startsWith(variant))).toEqual([]);
  });

  it.each(['digits', 'hello', 'reverse', 'upper'])(
    'compiles %s into a file that its header describes',
    async (name) => {
      const compiled = await compile(join(tinyFolder, 'adapters', name), name);
      const header = await readCompiledHeader(compiled.file);
      const bytes = readFileSync(compiled.file);
      expect(bytes.toString('latin1', 0, 8)).toBe(compiledMagic);
      expect(compiled).toMatchObject({
        bytes: bytes.length,
        ramBytes: memoryLayout(header.tensors, 'float32').bytes,
        rank: header.rank,
        targetModules: header.targetModules,
      });
      expect(header).toMatchObject({ adapterDigest: fakeDigest('a'), baseDigest: tinyTarget.baseDigest });
      for (const tensor of header.tensors) {
        expect(tensor.offset % tensorAlignment).toBe(0);
        expect(tensor.length).toBe(storedBytes(tensor));
        expect(crc32(bytes.subarray(tensor.offset, tensor.offset + tensor.length))).toBe(tensor.crc32);
      }
    },
  );

  it('gives the same weights from float32, float16 and bfloat16 within the precision of each', async () => {
    const half = await tensorsOf((await compile(join(tinyFolder, 'adapters/upper'), 'f16')).file);
    const full = await tensorsOf((await compile(join(tinyFolder, 'variants/valid-fp32'), 'f32')).file);
    const brain = await tensorsOf((await compile(join(tinyFolder, 'variants/valid-bf16'), 'bf16')).file);
    expect([...full.keys()]).toEqual([...half.keys()]);
    for (const [name, values] of half) {
      // The float32 copy was made from the float16 file: no difference at all.
      expect(full.get(name)).toEqual(values);
      brain.get(name)?.forEach((value, i) => {
        expect(Math.abs(value - (values[i] ?? 0))).toBeLessThanOrEqual(
          2 ** -8 * Math.abs(values[i] ?? 0) + 1e-30,
        );
      });
    }
  });

  it('applies rank_pattern and alpha_pattern', async () => {
    const { file } = await compile(join(tinyFolder, 'adapters/hello'), 'patterns');
    const header = await readCompiledHeader(file);
    const ranks = Object.fromEntries(header.tensors.map((t) => [t.module, t.shape[0]]));
    expect(ranks['model.layers.1.self_attn.v_proj']).toBe(4);
    expect(ranks['model.layers.0.self_attn.v_proj']).toBe(8);
  });
});

const qProj = 'base_model.model.model.layers.0.self_attn.q_proj';
const ramp = (count: number): number[] => Array.from({ length: count }, (_, i) => i / 64);
/** [features, ranks] as [ranks, features]. */
const asRanks = (values: readonly number[], rank: number): number[] =>
  Array.from({ length: rank }, (_, r) => values.filter((_value, at) => at % rank === r)).flat();
const onePair = (rank = 2) => ({
  [`${qProj}.lora_A.weight`]: float32([rank, 64], ramp(rank * 64)),
  [`${qProj}.lora_B.weight`]: float32([64, rank], ramp(64 * rank)),
});
const oneTarget = { target_modules: ['model.layers.0.self_attn.q_proj'], r: 2, lora_alpha: 8 };

describe('scaling and limits', () => {
  it.each([
    ['alpha / r', {}, 4],
    ['alpha / sqrt(r) with use_rslora', { use_rslora: true }, 8 / Math.sqrt(2)],
    ['the alpha of alpha_pattern', { alpha_pattern: { 'layers.0.self_attn.q_proj': 3 } }, 1.5],
  ])('multiplies B, and only B, by %s', async (_, fields, scale) => {
    const folder = await writeAdapter(
      join(root, 'scaled'),
      { ...oneTarget, ...fields },
      safetensors(onePair()),
    );
    const tensors = await tensorsOf((await compile(folder, 'scaled.out')).file);
    expect(tensors.get('model.layers.0.self_attn.q_proj A')).toEqual(new Float32Array(ramp(128)));
    expect(tensors.get('model.layers.0.self_attn.q_proj B')).toEqual(
      new Float32Array(asRanks(ramp(128), 2).map((v) => v * scale)),
    );
  });

  it('refuses a weight that leaves the range of float32 by its scaling', async () => {
    const tensors = {
      ...onePair(),
      [`${qProj}.lora_B.weight`]: float32(
        [64, 2],
        ramp(128).map(() => 3e38),
      ),
    };
    const folder = await writeAdapter(join(root, 'overflow'), oneTarget, safetensors(tensors));
    expect(await codeOf(() => compile(folder, 'overflow.out'))).toBe('ADAPTER_NOT_FINITE');
  });

  it.each([
    ['above the limit', 2, 1],
    ['of zero', 0, 256],
  ])('refuses a rank %s', async (_, rank, maxRank) => {
    const folder = await writeAdapter(
      join(root, 'rank'),
      { ...oneTarget, r: rank },
      safetensors(onePair(rank)),
    );
    expect(await codeOf(() => compile(folder, 'rank.out', maxRank))).toBe('ADAPTER_RANK_LIMIT');
  });

  it('reads tensors whatever their order and the length of the header', async () => {
    const reversed = Object.fromEntries(Object.entries(onePair()).toReversed());
    for (const padding of ['', ' ', '       ']) {
      const file = safetensors(reversed);
      const length = Number(file.readBigUInt64LE());
      file.writeBigUInt64LE(BigInt(length + padding.length));
      const padded = Buffer.concat([
        file.subarray(0, 8 + length),
        Buffer.from(padding),
        file.subarray(8 + length),
      ]);
      const folder = await writeAdapter(join(root, 'order'), oneTarget, padded);
      const tensors = await tensorsOf((await compile(folder, 'order.out')).file);
      expect(tensors.get('model.layers.0.self_attn.q_proj A')).toEqual(new Float32Array(ramp(128)));
    }
  });
});

/** The pair of {@link onePair} with int8 tensors and their scales. */
const int8Pair = (
  scales: readonly number[] = Array.from({ length: 64 }, (_, row) => (row + 1) / 512),
): Readonly<Record<string, FixtureTensor>> => ({
  [`${qProj}.lora_A.weight_scale`]: float32([2], [0.5, 0.1]),
  [`${qProj}.lora_B.weight_scale`]: float32([64], scales),
  [`${qProj}.lora_A.weight`]: int8(
    [2, 64],
    ramp(128).map((v) => 64 * v - 64),
  ),
  [`${qProj}.lora_B.weight`]: int8(
    [64, 2],
    ramp(128).map((v) => 64 * v - 100),
  ),
});

describe('what is stored', () => {
  const dtypesOf = async (file: string): Promise<StoredType[]> => {
    const { tensors } = await readCompiledHeader(file);
    return [...new Set(tensors.map(({ dtype }) => dtype))];
  };

  it.each([
    ['adapters/upper', 'float16'],
    ['variants/valid-bf16', 'bfloat16'],
    ['variants/valid-fp32', 'float32'],
  ])('keeps the type of %s, %s', async (name, dtype) => {
    const { file, bytes, ramBytes } = await compile(join(tinyFolder, name), 'typed');
    expect(await dtypesOf(file)).toEqual([dtype]);
    if (dtype !== 'float32') expect(bytes).toBeLessThan(ramBytes);
  });

  it('reads int8 as int8 times the scale of the row in float32, and B times alpha / r', async () => {
    const folder = await writeAdapter(join(root, 'int8'), oneTarget, safetensors(int8Pair()));
    const { file } = await compile(folder, 'int8.out');
    expect(await dtypesOf(file)).toEqual(['int8']);
    const tensors = await tensorsOf(file);
    const tenth = Math.fround(0.1);
    expect(tensors.get('model.layers.0.self_attn.q_proj A')).toEqual(
      Float32Array.from({ length: 128 }, (_, i) => (i - 64) * (i < 64 ? 0.5 : tenth)),
    );
    expect(tensors.get('model.layers.0.self_attn.q_proj B')).toEqual(
      Float32Array.from(
        asRanks(
          Array.from({ length: 128 }, (_, i) => ((i - 100) * (Math.floor(i / 2) + 1)) / 128),
          2,
        ),
      ),
    );
  });

  it.each([0, -0.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses the scale %d', async (scale) => {
    const scales = Array.from({ length: 64 }, (_, row) => (row === 7 ? scale : 1));
    const folder = await writeAdapter(join(root, 'scale'), oneTarget, safetensors(int8Pair(scales)));
    await expect(compile(folder, 'scale.out')).rejects.toMatchObject({
      code: 'ADAPTER_SCALE_INVALID',
      message: expect.stringMatching(/lora_B\.weight_scale.* has the scale .* for row 7/),
    });
  });

  it('refuses int8 whose values leave the range of float32 by the scales', async () => {
    const scales = Array.from({ length: 64 }, () => 1e38);
    const folder = await writeAdapter(join(root, 'large'), oneTarget, safetensors(int8Pair(scales)));
    expect(await codeOf(() => compile(folder, 'large.out'))).toBe('ADAPTER_NOT_FINITE');
  });
});

const good = () => writeAdapter(join(root, 'folder'), oneTarget, safetensors(onePair()));

describe('a folder that is not an adapter', () => {
  it('names the missing configuration and the missing weights', async () => {
    await rm(join(await good(), 'adapter_model.safetensors'));
    expect(await codeOf(() => compile(join(root, 'folder'), 'x'))).toBe('ADAPTER_FILE_MISSING');
    await rm(join(await good(), 'adapter_config.json'));
    expect(await codeOf(() => compile(join(root, 'folder'), 'x'))).toBe('ADAPTER_CONFIG_INVALID');
    expect(await codeOf(() => compile(join(root, 'nowhere'), 'x'))).toBe('ADAPTER_CONFIG_INVALID');
  });

  it('refuses weights as a pickle, also beside a safetensors file', async () => {
    await writeFile(join(await good(), 'adapter_model.bin'), 'pickle');
    expect(await codeOf(() => compile(join(root, 'folder'), 'x'))).toBe('ADAPTER_PICKLE');
    await rm(join(root, 'folder', 'adapter_model.bin'));
  });

  it('refuses bytes after the last tensor', async () => {
    const folder = await good();
    await writeFile(
      join(folder, 'adapter_model.safetensors'),
      Buffer.concat([safetensors(onePair()), Buffer.of(0)]),
    );
    expect(await codeOf(() => compile(folder, 'x'))).toBe('ADAPTER_FILE_OVERSIZED');
  });

  it('keeps the compiled file that is there when a compilation fails', async () => {
    const { file } = await compile(await good(), 'kept');
    await mkdir(join(root, 'bad'), { recursive: true });
    expect(await codeOf(() => compile(join(root, 'bad'), 'kept'))).not.toBe('none');
    expect((await readCompiledHeader(file)).tensors).toHaveLength(2);
  });
});

it('covers every site of the tiny model with all-linear', async () => {
  const tensors = Object.fromEntries(
    tinySites.flatMap(({ module, inFeatures, outFeatures }) => [
      [`base_model.model.${module}.lora_A.weight`, float32([2, inFeatures], ramp(2 * inFeatures))],
      [`base_model.model.${module}.lora_B.weight`, float32([outFeatures, 2], ramp(2 * outFeatures))],
    ]),
  );
  const folder = await writeAdapter(
    join(root, 'all'),
    { ...oneTarget, target_modules: 'all-linear' },
    safetensors(tensors),
  );
  const compiled = await compile(folder, 'all.out');
  expect(compiled.targetModules).toEqual([
    'down_proj',
    'gate_proj',
    'k_proj',
    'o_proj',
    'q_proj',
    'up_proj',
    'v_proj',
  ]);
});
