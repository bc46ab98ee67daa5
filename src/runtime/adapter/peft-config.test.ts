import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adapterErrors } from '../../errors/adapter.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { parsePeftConfig } from './peft-config.ts';
import { tinyFolder } from './peft-folder.fixture.ts';

const parse = (fields: Record<string, unknown> = {}) =>
  parsePeftConfig(JSON.stringify({ peft_type: 'LORA', target_modules: ['q_proj'], ...fields }));

const q = 'model.layers.1.self_attn.q_proj';

describe('rank and scaling', () => {
  it('has the defaults of PEFT', () => {
    expect(parse().rankOf(q)).toBe(8);
    expect(parse().scalingOf(q)).toBe(1);
  });

  it.each([
    ['the end of a name', { q_proj: 4 }, 4],
    ['a longer end', { 'layers.1.self_attn.q_proj': 4 }, 4],
    ['the whole name', { [q]: 4 }, 4],
    ['an anchored expression', { '^model.layers.1.self_attn.q_proj': 4 }, 4],
    ['an expression', { [String.raw`layers\.[01]\..*q_proj`]: 4 }, 4],
    ['alternatives', { 'k_proj|q_proj': 4 }, 4],
    ['the first of two keys', { q_proj: 4, 'self_attn.q_proj': 2 }, 4],
    ['not a part of a name after no dot', { proj: 4 }, 8],
    ['not the front of a name', { 'layers.1': 4 }, 8],
    ['the front, where PEFT does: beside a closed group', { 'layers)|(model': 4 }, 4],
  ])('matches %s in rank_pattern', (_, pattern, rank) => {
    expect(parse({ rank_pattern: pattern }).rankOf(q)).toBe(rank);
  });

  it('divides the alpha of the module by the rank of the module, or by its root', () => {
    const fields = { r: 8, lora_alpha: 32, rank_pattern: { q_proj: 4 }, alpha_pattern: { q_proj: 6 } };
    expect(parse(fields).scalingOf(q)).toBe(1.5);
    expect(parse({ ...fields, use_rslora: true }).scalingOf(q)).toBe(3);
    expect(parse(fields).scalingOf('model.layers.1.self_attn.v_proj')).toBe(4);
  });
});

it.each([
  ['OFT', 'it'],
  ['VERA', 'its'],
  ['PROMPT_TUNING', 'it'],
  ['PREFIX_TUNING', 'it'],
])('says why the method %s is not served', (peft_type, words) => {
  expect(() => parse({ peft_type })).toThrow(`${peft_type}\\"": ${words} `);
});

it.each([
  ['lm_head', 'the largest weights'],
  ['model.norm', 'what a norm gives'],
])('says why %s is not taken as a whole', (module, words) => {
  expect(() => parse({ modules_to_save: [module] })).toThrow(words);
});

it('says no more than the name of a method that it does not know', () => {
  expect(() => parse({ peft_type: 'toString' })).toThrow('toString\\"". Train');
});

describe('a field that changes the result', () => {
  it.each([
    ['ADAPTER_CONFIG_INVALID', { bias: 'some' }],
    ['ADAPTER_CONFIG_INVALID', { use_dora: true, lora_bias: true }],
    ['ADAPTER_MODULES_TO_SAVE', { modules_to_save: ['lm_head'] }],
    ['ADAPTER_LAYER_REPLICATION', { layer_replication: [[0, 2]] }],
    ['ADAPTER_QALORA', { use_qalora: true }],
    ['ADAPTER_ALORA', { alora_invocation_tokens: [1] }],
    ['ADAPTER_TRAINABLE_TOKENS', { trainable_token_indices: [1] }],
    ['ADAPTER_TARGET_PARAMETERS', { target_parameters: ['experts.w'] }],
    ['ADAPTER_INIT_CHANGES_BASE', { init_lora_weights: 'pissa_niter_16' }],
    ['ADAPTER_INIT_CHANGES_BASE', { init_lora_weights: 'loftq' }],
    ['ADAPTER_BDLORA', { use_bdlora: { nblocks: 2 } }],
    ['ADAPTER_ARROW', { arrow_config: {} }],
    ['ADAPTER_KASA', { kasa_config: {} }],
    ['ADAPTER_MONTECLORA', { monteclora_config: {} }],
    ['ADAPTER_VELORA', { velora_config: {} }],
    ['ADAPTER_MEGATRON', { megatron_config: { a: 1 } }],
    ['ADAPTER_INIT_CHANGES_BASE', { init_lora_weights: 'lora_ga' }],
    ['ADAPTER_FIELD_UNKNOWN', { invented_config: 0 }],
    ['ADAPTER_PEFT_TYPE', { peft_type: 'VERA' }],
    ['ADAPTER_TASK_UNSUPPORTED', { task_type: 'SEQ_CLS' }],
  ])('is refused with %s: %j', async (code, fields) => {
    expect(await codeOf(() => parse(fields))).toBe(code);
    expect(() => parse(fields)).toThrow(Object.keys(fields)[0]);
  });

  it('is accepted while it is off', () => {
    parse({
      use_dora: false,
      bias: 'none',
      modules_to_save: [],
      layer_replication: null,
      trainable_token_indices: {},
      invented_config: null,
      other: false,
      init_lora_weights: 'mica',
      ensure_weight_tying: true,
      megatron_config: {},
      megatron_core: 'megatron.core',
      qalora_group_size: 16,
      lora_dropout: 0.05,
      fan_in_fan_out: true,
      task_type: null,
    });
  });
});

describe('a configuration that cannot be read', () => {
  it.each([
    ['not JSON', 'nonsense'],
    ['a list', '[]'],
    ['no target_modules', '{"peft_type":"LORA"}'],
    ['a rank that is not a whole number', '{"peft_type":"LORA","target_modules":[],"r":1.5}'],
    ['a rank as text', '{"peft_type":"LORA","target_modules":[],"r":"8"}'],
    ['an infinite alpha', '{"peft_type":"LORA","target_modules":[],"lora_alpha":1e999}'],
    ['layers for an expression', '{"peft_type":"LORA","target_modules":"q","layers_to_transform":[]}'],
    ['a list of layers for an expression', '{"peft_type":"LORA","target_modules":"q","layers_pattern":"h"}'],
    ['a list of layers alone', '{"peft_type":"LORA","target_modules":["q"],"layers_pattern":["h"]}'],
    ['a field twice', '{"peft_type":"LORA","target_modules":["q"],"r":4,"r":8}'],
  ])('%s', async (_, text) => {
    expect(await codeOf(() => parsePeftConfig(text))).toBe('ADAPTER_CONFIG_INVALID');
  });

  it.each([{ rank_pattern: { '(': 4 } }, { target_modules: '(?=x)' }, { exclude_modules: 'a'.repeat(5000) }])(
    'names the expression that RE2 cannot read: %j',
    async (fields) => {
      expect(await codeOf(() => parse(fields))).toBe('ADAPTER_PATTERN_INVALID');
    },
  );

  it('takes no long time for an expression that would hold a backtracking engine', () => {
    const config = parse({ target_modules: '(a+)+b' });
    const before = performance.now();
    expect(config.targets.includes('a'.repeat(5000))).toBe(false);
    expect(performance.now() - before).toBeLessThan(2000);
  });
});

describe('a configuration that would take a thread or its memory', () => {
  const text = (fields: object): string =>
    JSON.stringify({ peft_type: 'LORA', target_modules: ['q'], ...fields });

  it('by its depth is refused', async () => {
    const deep = text({ x: 0 }).replace('"x":0', `"x":${'['.repeat(400_000)}${']'.repeat(400_000)}`);
    expect(await codeOf(() => parsePeftConfig(deep))).toBe('ADAPTER_CONFIG_INVALID');
  });

  it.each<[string, object]>([
    [
      'one expression that counts to a thousand again and again',
      { target_modules: '(.{0,1000}q)'.repeat(300) },
    ],
    [
      'many of them',
      { rank_pattern: Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`.{0,99}${i}`, 1])) },
    ],
    [
      'many names of layers',
      { layers_to_transform: [1], layers_pattern: Array.from({ length: 9000 }, () => 'h') },
    ],
  ])('by %s is refused', async (_, fields) => {
    expect(await codeOf(() => parsePeftConfig(text(fields)))).toBe('ADAPTER_PATTERN_INVALID');
  });

  it('by none of these is taken: a rank and an alpha for each linear of 32 layers', () => {
    const modules = Array.from({ length: 32 }, (_, layer) =>
      ['q', 'k', 'v', 'o'].map((name) => `model.layers.${layer}.self_attn.${name}_proj`),
    ).flat();
    const table = Object.fromEntries(
      [...modules, ...modules.map((name) => name.replace('self_attn', 'mlp'))].map((name) => [name, 4]),
    );
    const { rankOf } = parsePeftConfig(text({ rank_pattern: table, alpha_pattern: table }));
    expect(rankOf('model.layers.31.mlp.o_proj')).toBe(4);
  });
});

it('takes an empty layers_pattern for none', () => {
  for (const layers_pattern of ['', []]) {
    const { targets } = parse({ layers_to_transform: [1], layers_pattern });
    expect([q, q.replace('1', '2')].map(targets.includes)).toEqual([true, false]);
  }
});

it('reads every configuration of the tiny model', async () => {
  for (const kind of ['adapters', 'variants']) {
    for (const name of readdirSync(join(tinyFolder, kind))) {
      const text = readFileSync(join(tinyFolder, kind, name, 'adapter_config.json'), 'utf8');
      expect([name, await codeOf(() => parsePeftConfig(text))]).toEqual([name, 'none']);
    }
  }
});

it('answers any JSON with a configuration or a code of the catalogue', async () => {
  const field = fc.constantFrom(
    'r',
    'lora_alpha',
    'rank_pattern',
    'target_modules',
    'layers_pattern',
    '__proto__',
    'x',
  );
  await fc.assert(
    fc.asyncProperty(fc.dictionary(field, fc.jsonValue()), async (fields) => {
      const code = await codeOf(() => parse(fields));
      expect(['none', ...Object.keys(adapterErrors)]).toContain(code);
    }),
  );
});
