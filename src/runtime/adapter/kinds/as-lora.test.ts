import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderOfTests } from '../../../../test/support/temporary-folder.ts';
import { codeOf } from '../../../errors/code-of.fixture.ts';
import { checkPeftFolder, readStructure } from '../check-folder.ts';
import { type FixtureTensor, float32, safetensors } from '../peft-folder.fixture.ts';
import { openPeftFolder } from '../peft-folder.ts';
import { floatsOf } from '../weights.ts';

const root = folderOfTests();
let count = 0;

type Fields = Readonly<Record<string, unknown>>;
type Matrix = { readonly rows: number; readonly columns: number; readonly values: readonly number[] };
type Tensors = Readonly<Record<string, FixtureTensor>>;

const q = 'model.layers.0.self_attn.q_proj';

const folderOf = async (fields: Fields, tensors: Tensors): Promise<string> => {
  const folder = await mkdtemp(join(root, `a-${(count += 1)}-`));
  await writeFile(
    join(folder, 'adapter_config.json'),
    JSON.stringify({ target_modules: ['q_proj'], ...fields }),
  );
  await writeFile(join(folder, 'adapter_model.safetensors'), safetensors(tensors));
  return folder;
};

let seed = 1;
/** Values of a float32, the same in each run. */
const random = (rows: number, columns: number): Matrix => ({
  rows,
  columns,
  values: Array.from({ length: rows * columns }, () => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return Math.fround(seed / 2 ** 31 - 1);
  }),
});

const of = (matrices: Readonly<Record<string, Matrix>>, module = q): Tensors =>
  Object.fromEntries(
    Object.entries(matrices).map(([name, { rows, columns, values }]) => [
      `base_model.model.${module}.${name}`,
      float32([rows, columns], values),
    ]),
  );

const product = (left: Matrix, right: Matrix): Matrix => ({
  rows: left.rows,
  columns: right.columns,
  values: Array.from({ length: left.rows * right.columns }, (_, at) => {
    const [row, column] = [Math.floor(at / right.columns), at % right.columns];
    let sum = 0;
    for (let k = 0; k < left.columns; k += 1)
      sum += left.values[row * left.columns + k]! * right.values[k * right.columns + column]!;
    return sum;
  }),
});

/** What the pair of a folder changes the weight by: scale · B · A, and its rank. */
const changeOf = async (folder: string, module = q) => {
  await using peft = await openPeftFolder(folder, 'any');
  const { pairs } = await readStructure(folder, peft, 256);
  const data = await peft.readData();
  const pair = pairs.find(({ site }) => site.module === module)!;
  const { a, b, rank, scale, site } = pair;
  const values = (entry: typeof a): readonly number[] => [...floatsOf(entry, data, 1)];
  const left = { rows: site.outFeatures, columns: rank, values: values(b) };
  const right = { rows: rank, columns: site.inFeatures, values: values(a) };
  return { rank, scale, values: product(left, right).values.map((value) => value * scale) };
};

/** Sums of up to 36 products of four numbers below 1, each rounded to float32. */
const near = (got: readonly number[], wanted: readonly number[]): void => {
  expect(got).toHaveLength(wanted.length);
  const furthest = got.reduce((most, value, at) => Math.max(most, Math.abs(value - wanted[at]!)), 0);
  expect(furthest).toBeLessThan(1e-5);
  expect(Math.max(...wanted)).toBeGreaterThan(0.1);
};

describe('AdaLoRA', () => {
  const base = { peft_type: 'ADALORA', init_r: 3, lora_alpha: 6 };
  const three = () => ({ lora_A: random(3, 5), lora_E: random(3, 1), lora_B: random(4, 3) });

  it('is B · diag(E) · A, times alpha over the first rank and 0.00001', async () => {
    const tensors = three();
    const { rank, scale, values } = await changeOf(await folderOf(base, of(tensors)));
    expect([rank, scale]).toEqual([3, 6 / 3.00001]);
    const scaled = tensors.lora_A.values.map(
      (value, at) => value * tensors.lora_E.values[Math.floor(at / 5)]!,
    );
    const { values: wanted } = product(tensors.lora_B, { ...tensors.lora_A, values: scaled });
    near(
      values,
      wanted.map((value) => (value * 6) / 3.00001),
    );
  });

  it('has the scale of its first rank where ranks were taken away, and of alpha 0 its rank', async () => {
    const tensors = { lora_A: random(1, 5), lora_E: random(1, 1), lora_B: random(4, 1) };
    const fields = { ...base, rank_pattern: { [`${q}.lora_E`]: [false, true, false] } };
    expect(await changeOf(await folderOf(fields, of(tensors)))).toMatchObject({
      rank: 1,
      scale: 6 / 3.00001,
    });
    const zero = await changeOf(await folderOf({ ...base, lora_alpha: 0 }, of(three())));
    expect(zero.scale).toBe(3 / 3.00001);
    const both = await changeOf(await folderOf({ ...fields, lora_alpha: 0 }, of(tensors)));
    expect(both.scale).toBe(1 / 3.00001);
  });

  it('leaves a module alone whose every rank was taken away', async () => {
    const v = 'model.layers.0.self_attn.v_proj';
    const none = { lora_A: random(0, 5), lora_E: random(0, 1), lora_B: random(4, 0) };
    const folder = await folderOf(
      {
        ...base,
        target_modules: ['q_proj', 'v_proj'],
        rank_pattern: { [`${v}.lora_E`]: [false, false, false] },
      },
      { ...of(three()), ...of(none, v) },
    );
    expect((await changeOf(folder)).rank).toBe(3);
    await checkPeftFolder(folder, 256);
  });

  it.each<[string, string, Fields, Partial<Record<string, Matrix>>]>([
    ['ADAPTER_RANK_NOT_CONFIG', 'another rank than init_r', { init_r: 4 }, {}],
    ['ADAPTER_RANK_UNEQUAL', 'factors of another number', {}, { lora_E: random(2, 1) }],
    ['ADAPTER_RANK_UNEQUAL', 'factors in two columns', {}, { lora_E: random(3, 2) }],
    ['ADAPTER_CONFIG_INVALID', 'a mask of another length', { rank_pattern: { [`${q}.lora_E`]: [true] } }, {}],
    [
      'ADAPTER_CONFIG_INVALID',
      'a mask of no module',
      { rank_pattern: { 'x.lora_E': [true, true, true] } },
      {},
    ],
    ['ADAPTER_CONFIG_INVALID', 'a rank of 0', { init_r: 0 }, {}],
    ['ADAPTER_CONFIG_INVALID', 'DoRA', { use_dora: true }, {}],
    ['ADAPTER_FIELD_UNKNOWN', 'a field that is not known', { some: 1 }, {}],
    ['ADAPTER_KASA', 'what is refused of LoRA', { kasa_config: {} }, {}],
  ])('is refused with %s for %s', async (code, _, fields, tensors) => {
    const folder = await folderOf({ ...base, ...fields }, of({ ...three(), ...tensors }));
    expect(await codeOf(() => checkPeftFolder(folder, 256))).toBe(code);
  });
});

describe('LoHa', () => {
  const base = { peft_type: 'LOHA', r: 3, alpha: 12 };
  const hada = (rank: number) => ({
    hada_w1_a: random(4, rank),
    hada_w1_b: random(rank, 5),
    hada_w2_a: random(4, rank),
    hada_w2_b: random(rank, 5),
  });

  it.each([1, 3, 6])('is the product element by element of two products, of rank %d', async (r) => {
    const tensors = hada(r);
    const { rank, scale, values } = await changeOf(await folderOf({ ...base, r }, of(tensors)));
    expect([rank, scale]).toEqual([r * r, 12 / r]);
    const left = product(tensors.hada_w1_a, tensors.hada_w1_b).values;
    const right = product(tensors.hada_w2_a, tensors.hada_w2_b).values;
    near(
      values,
      left.map((value, at) => (value * right[at]! * 12) / r),
    );
  });

  it('keeps the products of numbers in 16 bits exactly', async () => {
    const half = (matrix: Matrix): FixtureTensor => ({
      dtype: 'F16',
      shape: [matrix.rows, matrix.columns],
      data: new Uint8Array(new Float16Array(matrix.values).buffer),
    });
    const [a, b] = [random(1, 5), random(4, 1)];
    const name = (part: string): string => `base_model.model.${q}.hada_${part}`;
    const folder = await folderOf(
      { ...base, r: 1 },
      { [name('w1_a')]: half(b), [name('w1_b')]: half(a), [name('w2_a')]: half(b), [name('w2_b')]: half(a) },
    );
    await using peft = await openPeftFolder(folder, 'any');
    const [pair] = (await readStructure(folder, peft, 256)).pairs;
    const data = await peft.readData();
    expect([...floatsOf(pair!.a, data, 1)]).toEqual(a.values.map((value) => Math.f16round(value) ** 2));
  });

  it('says of which ranks its rank is the product, where that is above the limit', async () => {
    const folder = await folderOf({ ...base, r: 17 }, of(hada(17)));
    const words =
      /has rank 289 as a pair of matrices, the square of its rank 17 as LoHa, allowed are 1 to 256/;
    await expect(checkPeftFolder(folder, 256)).rejects.toThrow(words);
  });

  it.each<[string, string, Fields, Partial<Record<string, Matrix>>]>([
    ['ADAPTER_RANK_NOT_CONFIG', 'another rank', { r: 4 }, {}],
    ['ADAPTER_RANK_UNEQUAL', 'two ranks', {}, { hada_w2_a: random(4, 2), hada_w2_b: random(2, 5) }],
    ['ADAPTER_SHAPE', 'products of two shapes', {}, { hada_w2_a: random(3, 3) }],
    ['ADAPTER_RANK_LIMIT', 'no rank', { r: 0 }, hada(0)],
    ['ADAPTER_TENSOR_UNKNOWN', 'a tensor of convolutions', {}, { hada_t1: random(3, 3) }],
    ['ADAPTER_TENSOR_UNKNOWN', 'a pair of LoRA', {}, { 'lora_A.weight': random(3, 5) }],
    ['ADAPTER_FIELD_UNKNOWN', 'a field of LoRA', { use_rslora: true }, {}],
    ['ADAPTER_FIELD_UNKNOWN', 'the scales of ABBA', { init_weights: 'abba', use_khatri_rao: 'auto' }, {}],
    ['ADAPTER_FIELD_UNKNOWN', 'the scales of ABBA, asked for', { use_khatri_rao: true }, {}],
    ['none', 'what newer versions write', { use_khatri_rao: 'auto', r2: null }, {}],
    ['ADAPTER_MODULES_TO_SAVE', 'a whole module', { modules_to_save: ['lm_head'] }, {}],
    [
      'ADAPTER_NOT_FINITE',
      'a number that is none',
      {},
      { hada_w1_a: { rows: 4, columns: 3, values: Array(12).fill(NaN) } },
    ],
  ])('answers %s to %s', async (code, _, fields, tensors) => {
    const folder = await folderOf({ ...base, ...fields }, of({ ...hada(3), ...tensors }));
    expect(await codeOf(() => checkPeftFolder(folder, 256))).toBe(code);
  });

  it('lacks none of its four matrices', async () => {
    const { hada_w1_b: _, ...three } = hada(3);
    const folder = await folderOf(base, of(three));
    await expect(checkPeftFolder(folder, 256)).rejects.toThrow('has no hada_w1_b');
  });
});

describe('LoKr', () => {
  const base = { peft_type: 'LOKR', r: 2, alpha: 3 };
  const kronecker = (left: Matrix, right: Matrix): readonly number[] => {
    const columns = left.columns * right.columns;
    return Array.from({ length: left.rows * right.rows * columns }, (_, at) => {
      const [row, column] = [Math.floor(at / columns), at % columns];
      const factor =
        left.values[Math.floor(row / right.rows) * left.columns + Math.floor(column / right.columns)]!;
      return factor * right.values[(row % right.rows) * right.columns + (column % right.columns)]!;
    });
  };
  /** 12 features in, 30 out: 3 · 4 and 5 · 6. */
  const two = (rank: number) => ({
    lokr_w1: random(5, 3),
    lokr_w2_a: random(6, rank),
    lokr_w2_b: random(rank, 4),
  });

  it('is w1 ⊗ (w2_a · w2_b), of the smaller side of w1 times its rank', async () => {
    const tensors = two(2);
    const { rank, scale, values } = await changeOf(await folderOf(base, of(tensors)));
    expect([rank, scale]).toEqual([3 * 2, 1.5]);
    const wanted = kronecker(tensors.lokr_w1, product(tensors.lokr_w2_a, tensors.lokr_w2_b));
    near(
      values,
      wanted.map((value) => value * 1.5),
    );
  });

  it('is the product of two whole matrices where its rank is half of a side', async () => {
    const tensors = { lokr_w1: random(5, 3), lokr_w2: random(6, 4) };
    const { rank, values } = await changeOf(await folderOf({ ...base, r: 3 }, of(tensors)));
    expect(rank).toBe(3 * 4);
    near(values, kronecker(tensors.lokr_w1, tensors.lokr_w2));
  });

  it('is that of four matrices with decompose_both', async () => {
    const tensors = {
      lokr_w1_a: random(5, 2),
      lokr_w1_b: random(2, 3),
      lokr_w2_a: random(6, 2),
      lokr_w2_b: random(2, 4),
    };
    const { rank, values } = await changeOf(await folderOf({ ...base, decompose_both: true }, of(tensors)));
    expect(rank).toBe(4);
    const left = product(tensors.lokr_w1_a, tensors.lokr_w1_b);
    const right = product(tensors.lokr_w2_a, tensors.lokr_w2_b);
    near(
      values,
      kronecker(left, right).map((value) => value * 1.5),
    );
  });

  it('has the sides that decompose_factor gives, whichever is larger', async () => {
    const tensors = { lokr_w1: random(6, 6), lokr_w2_a: random(5, 1), lokr_w2_b: random(1, 2) };
    const { rank, values } = await changeOf(
      await folderOf({ ...base, r: 1, alpha: 1, decompose_factor: 6 }, of(tensors)),
    );
    expect(rank).toBe(6);
    near(values, kronecker(tensors.lokr_w1, product(tensors.lokr_w2_a, tensors.lokr_w2_b)));
  });

  it('says of which ranks its rank is the product, where that is above the limit', async () => {
    const words =
      /has rank 6 as a pair of matrices, the ranks 3 and 2 of its factors as LoKr multiplied, allowed are 1 to 4/;
    await expect(checkPeftFolder(await folderOf(base, of(two(2))), 4)).rejects.toThrow(words);
  });

  it.each<[string, string, Fields, Partial<Record<string, Matrix>>]>([
    ['ADAPTER_RANK_NOT_CONFIG', 'another rank', { r: 1 }, {}],
    ['ADAPTER_SHAPE', 'a whole w1 that should be two matrices', { decompose_both: true }, {}],
    ['ADAPTER_SHAPE', 'sides that its configuration does not give', { decompose_factor: 2 }, {}],
    ['ADAPTER_TENSOR_UNKNOWN', 'one factor in two forms', {}, { lokr_w2: random(6, 4) }],
    ['ADAPTER_TENSOR_UNKNOWN', 'a tensor of convolutions', {}, { lokr_t2: random(2, 2) }],
    ['ADAPTER_CONFIG_INVALID', 'a factor that is no whole number', { decompose_factor: 1.5 }, {}],
    ['ADAPTER_SHAPE', 'no features', {}, { lokr_w1: random(0, 3) }],
  ])('is refused with %s for %s', async (code, _, fields, tensors) => {
    const folder = await folderOf({ ...base, ...fields }, of({ ...two(2), ...tensors }));
    expect(await codeOf(() => checkPeftFolder(folder, 256))).toBe(code);
  });

  it('does not make gigabytes of a small file', async () => {
    // 65,536 features out of 256 · 256, of rank 256, and as many in.
    const zeros = (rows: number, columns: number): Matrix => ({
      rows,
      columns,
      values: Array(rows * columns).fill(0),
    });
    const tensors = { lokr_w1: zeros(256, 256), lokr_w2_a: zeros(4096, 1), lokr_w2_b: zeros(1, 4096) };
    const folder = await folderOf({ ...base, r: 1, decompose_factor: 256 }, of(tensors));
    await expect(checkPeftFolder(folder, 256)).rejects.toThrow(
      /take 2147483648 bytes, allowed are 1073741824/,
    );
  });
});
