import { describe, expect, it } from 'vitest';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { pairsOf } from './pairs.ts';
import { parsePeftConfig } from './peft-config.ts';
import { tinySites } from './peft-folder.fixture.ts';
import type { TensorEntry } from './safetensors.ts';

type Shapes = Readonly<Record<string, readonly number[]>>;

const entriesOf = (shapes: Shapes, dtype = 'F16'): readonly TensorEntry[] =>
  Object.entries(shapes).map(([name, shape]) => ({
    name: `base_model.model.${name}`,
    dtype,
    shape,
    begin: 0,
    end: 0,
  }));

const pairs = (shapes: Shapes, fields: Record<string, unknown> = {}, dtype = 'F16') =>
  pairsOf({
    entries: entriesOf(shapes, dtype),
    config: parsePeftConfig(
      JSON.stringify({
        peft_type: 'LORA',
        target_modules: ['q_proj', 'v_proj'],
        layers_to_transform: [0],
        ...fields,
      }),
    ),
    sites: tinySites,
    maxRank: 16,
  });

const q = 'model.layers.0.self_attn.q_proj';
const v = 'model.layers.0.self_attn.v_proj';
const good: Shapes = {
  [`${q}.lora_A.weight`]: [8, 64],
  [`${q}.lora_B.weight`]: [64, 8],
  [`${v}.lora_A.weight`]: [8, 64],
  [`${v}.lora_B.weight`]: [32, 8],
};

it('pairs tensors with sites in the order of the sites', () => {
  const reversed = Object.fromEntries(Object.entries(good).toReversed());
  expect(pairs(reversed).map((pair) => [pair.site.module, pair.rank, pair.scale])).toEqual([
    [q, 8, 1],
    [v, 8, 1],
  ]);
});

it('takes an entry of target_modules whose modules are all excluded', () => {
  const fields = { target_modules: ['q_proj', 'v_proj', 'k_proj'], exclude_modules: ['k_proj'] };
  expect(pairs(good, fields)).toHaveLength(2);
});

const without = (name: string): Shapes =>
  Object.fromEntries(Object.entries(good).filter(([key]) => key !== name));

/** Magnitudes of these modules beside all pairs. */
const withMagnitudes = (modules: readonly string[]): Shapes => ({
  ...good,
  ...Object.fromEntries(
    modules.map((module) => [`${module}.lora_magnitude_vector`, [module === q ? 64 : 32]]),
  ),
});

it('puts magnitudes and biases of B with their pairs', () => {
  const dora = pairs(withMagnitudes([q, v]), { use_dora: true });
  expect(dora.map(({ magnitude }) => magnitude?.shape)).toEqual([[64], [32]]);
  const biased = { ...good, [`${q}.lora_B.bias`]: [64], [`${v}.lora_B.bias`]: [32] };
  expect(pairs(biased, { lora_bias: true }).map(({ bias }) => bias?.shape)).toEqual([[64], [32]]);
});

it('takes a configuration that trained biases when the file has none, as PEFT does', () => {
  expect(pairs(good, { bias: 'all' })).toHaveLength(2);
});

describe('tensors that are refused', () => {
  it.each<[string, string, Shapes, Record<string, unknown>?]>([
    ['a tensor that is not LoRA', 'ADAPTER_TENSOR_UNKNOWN', { ...good, 'model.norm.weight': [64] }],
    ['a whole output layer', 'ADAPTER_EMBEDDING', { ...good, 'lm_head.weight': [259, 64] }],
    ['an embedding pair', 'ADAPTER_EMBEDDING', { ...good, 'model.tokens.lora_embedding_A': [8, 259] }],
    ['LoRA on the output layer', 'ADAPTER_EMBEDDING', { ...good, 'lm_head.lora_A.weight': [8, 64] }],
    ['a magnitude without DoRA', 'ADAPTER_DORA', { ...good, [`${q}.lora_magnitude_vector`]: [64] }],
    ['DoRA without a magnitude', 'ADAPTER_DORA', withMagnitudes([q]), { use_dora: true }],
    ['a magnitude of other features', 'ADAPTER_SHAPE', { ...good, [`${q}.lora_magnitude_vector`]: [32] }],
    ['a magnitude of two dimensions', 'ADAPTER_SHAPE', { ...good, [`${q}.lora_magnitude_vector`]: [1, 64] }],
    [
      'a magnitude by both of its names',
      'ADAPTER_TENSOR_UNKNOWN',
      { ...withMagnitudes([q, v]), [`${q}.lora_magnitude_vector.weight`]: [64] },
      { use_dora: true },
    ],
    ['a magnitude alone', 'ADAPTER_PAIR_INCOMPLETE', { [`${q}.lora_magnitude_vector`]: [64] }],
    ['a bias of B without lora_bias', 'ADAPTER_LORA_BIAS', { ...good, [`${q}.lora_B.bias`]: [64] }],
    ['lora_bias without a bias', 'ADAPTER_LORA_BIAS', good, { lora_bias: true }],
    [
      'a bias of the base',
      'ADAPTER_BIAS',
      { ...good, [`${q}.base_layer.bias`]: [64] },
      { bias: 'lora_only' },
    ],
    ['a bias of a norm', 'ADAPTER_BIAS', { ...good, 'model.norm.bias': [64] }, { bias: 'all' }],
    [
      'one module that the base lacks',
      'ADAPTER_TENSOR_UNKNOWN',
      { ...good, 'model.router.lora_A.weight': [8, 64] },
    ],
    [
      'several modules that the base lacks',
      'ADAPTER_WRONG_BASE',
      { ...good, 'model.layers.2.q.lora_A.weight': [8, 64], 'model.layers.3.q.lora_A.weight': [8, 64] },
    ],
    ['a tensor of three dimensions', 'ADAPTER_SHAPE', { ...good, [`${q}.lora_A.weight`]: [1, 8, 64] }],
    ['a B of other rows', 'ADAPTER_SHAPE', { ...good, [`${v}.lora_B.weight`]: [64, 8] }],
    ['a missing A', 'ADAPTER_PAIR_INCOMPLETE', without(`${v}.lora_A.weight`)],
    ['a missing B', 'ADAPTER_PAIR_INCOMPLETE', without(`${v}.lora_B.weight`)],
    ['unequal ranks', 'ADAPTER_RANK_UNEQUAL', { ...good, [`${v}.lora_B.weight`]: [32, 4] }],
    ['another rank than r', 'ADAPTER_RANK_NOT_CONFIG', good, { r: 4 }],
    ['another rank than rank_pattern', 'ADAPTER_RANK_NOT_CONFIG', good, { rank_pattern: { v_proj: 4 } }],
    ['a module that is not targeted', 'ADAPTER_TENSOR_UNTARGETED', good, { target_modules: ['q_proj'] }],
    ['a module that is excluded', 'ADAPTER_TENSOR_UNTARGETED', good, { exclude_modules: ['v_proj'] }],
    ['a targeted module without tensors', 'ADAPTER_TENSOR_MISSING', good, { layers_to_transform: null }],
    [
      'a target that matches nothing',
      'ADAPTER_TARGET_UNMATCHED',
      good,
      { target_modules: ['q_proj', 'v_proj', 'x'] },
    ],
    ['no tensors at all', 'ADAPTER_TARGET_UNMATCHED', {}, { target_modules: ['x'] }],
    ['no tensors and no targets', 'ADAPTER_TENSOR_MISSING', {}, { target_modules: [] }],
  ])('%s: %s', async (_, code, shapes, fields = {}) => {
    expect(await codeOf(() => pairs(shapes, fields))).toBe(code);
  });

  it('a type that is not a float of 16 or 32 bits', async () => {
    expect(await codeOf(() => pairs(good, {}, 'F64'))).toBe('ADAPTER_DTYPE');
    expect(await codeOf(() => pairs(good, {}, 'I8'))).toBe('ADAPTER_DTYPE');
  });

  it('a name without the prefix of PEFT', async () => {
    const [entry] = entriesOf(good);
    const config = parsePeftConfig('{"peft_type":"LORA","target_modules":["q_proj"]}');
    const bare = [{ name: `${q}.lora_A.weight`, dtype: 'F16', shape: entry?.shape ?? [], begin: 0, end: 0 }];
    expect(await codeOf(() => pairsOf({ entries: bare, config, sites: tinySites, maxRank: 16 }))).toBe(
      'ADAPTER_TENSOR_UNKNOWN',
    );
  });
});
