import { describe, expect, it } from 'vitest';
import { type TargetFields, targetsOf } from './target-modules.ts';

const q0 = 'model.layers.0.self_attn.q_proj';
const q11 = 'model.layers.11.self_attn.q_proj';
const nested = 'model.blocks.3.experts.7.up_proj';
const head = 'lm_head';
const all = [q0, q11, nested, head];

const off = { excludeModules: undefined, layersToTransform: undefined, layersPattern: [] };

const rows: readonly (readonly [
  string,
  Partial<TargetFields> & Pick<TargetFields, 'targetModules'>,
  readonly string[],
])[] = [
  ['a list by the ends of names after a dot', { targetModules: ['q_proj', 'proj', 'head'] }, [q0, q11]],
  ['a list by whole names', { targetModules: ['lm_head'] }, [head]],
  ['an expression by the whole name', { targetModules: String.raw`.*\.0\..*q_proj` }, [q0]],
  ['an expression that matches a part: nothing', { targetModules: 'q_proj' }, []],
  ['all-linear without the output layer', { targetModules: 'all-linear' }, [q0, q11, nested]],
  ['all-linear in any case', { targetModules: 'All-Linear' }, [q0, q11, nested]],
  ['without excluded ends', { targetModules: 'all-linear', excludeModules: ['up_proj'] }, [q0, q11]],
  ['without an excluded expression', { targetModules: 'all-linear', excludeModules: '.*layers.*' }, [nested]],
  ['only some layers', { targetModules: ['q_proj', 'up_proj'], layersToTransform: [1, 11] }, [q11]],
  ['whole names whatever the layers', { targetModules: [q0, 'q_proj'], layersToTransform: [11] }, [q0, q11]],
  [
    'layers by a named list',
    { targetModules: ['up_proj'], layersToTransform: [3], layersPattern: ['blocks'] },
    [nested],
  ],
  [
    'layers by their first number, not by that of an expert',
    { targetModules: ['up_proj'], layersToTransform: [3] },
    [nested],
  ],
  [
    'not by a later number',
    { targetModules: ['up_proj'], layersToTransform: [7], layersPattern: ['blocks'] },
    [],
  ],
  [
    'nothing where an expression matches without a number',
    { targetModules: ['q_proj'], layersToTransform: [0], layersPattern: ['model|layers'] },
    [],
  ],
  [
    'nothing where the named list is absent',
    { targetModules: ['q_proj'], layersToTransform: [0], layersPattern: ['h'] },
    [],
  ],
];

describe('modules that carry LoRA', () => {
  it.each(rows)('%s', (_, fields, expected) => {
    const { includes } = targetsOf({ ...off, ...fields });
    expect(all.filter(includes)).toEqual(expected);
  });
});

it('finds the entries that match no module', () => {
  expect(targetsOf({ ...off, targetModules: ['q_proj', 'k_proj'] }).unmatched(all)).toEqual(['k_proj']);
  expect(targetsOf({ ...off, targetModules: 'k.*' }).unmatched(all)).toEqual(['k.*']);
  expect(targetsOf({ ...off, targetModules: 'all-linear' }).unmatched(all)).toEqual([]);
});
