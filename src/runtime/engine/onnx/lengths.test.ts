import { describe, expect, it } from 'vitest';
import { type HandMadeGraph, handMade, tinyModel } from './graph.fixture.ts';
import { readGraph } from './graph.ts';
import { lengthUseOf } from './lengths.ts';
import { gatherLogitsRows } from './logits-rows.ts';
import type { NewNode } from './messages.ts';

const integers = { zero: [0], one: [1], ten: [10], far: [4096], least: [-1], end: [2 ** 53] };

/** Attention that is told the lengths of rows and the longest one, as the builder's graphs do it. */
const attention: readonly NewNode[] = [
  { opType: 'ReduceSum', name: 'sum', inputs: ['attention_mask', 'one'], outputs: ['lengths'] },
  { opType: 'Sub', name: 'before', inputs: ['lengths', 'one'], outputs: ['past'] },
  { opType: 'Shape', name: 'shape', inputs: ['attention_mask'], outputs: ['sizes'] },
  { opType: 'Gather', name: 'widest', inputs: ['sizes', 'one'], outputs: ['width'] },
  {
    opType: 'GroupQueryAttention',
    name: 'attention',
    inputs: [
      'q',
      'k',
      'v',
      'past_key_values.0.key',
      'past_key_values.0.value',
      'past',
      'width',
      'cos',
      'sin',
    ],
    outputs: ['y', 'present.0.key', 'present.0.value'],
  },
];

const useOf = (nodes: readonly NewNode[], more: Partial<HandMadeGraph> = {}) =>
  lengthUseOf(
    readGraph(
      handMade({
        nodes: [...attention, ...nodes],
        integers,
        inputs: ['input_ids', 'attention_mask'],
        weights: { cos: [64, 4], sin: [64, 4], table: [32, 4] },
        ...more,
      }),
    ),
  );

const node = (opType: string, inputs: readonly string[], outputs = ['out']): NewNode => ({
  opType,
  name: 'it',
  inputs,
  outputs,
});

describe('lengths in a graph', () => {
  it('are for attention only in graphs of the builder', () => {
    expect(useOf([])).toEqual({ mixed: [], chosen: [], borders: [], windows: [], positions: 64 });
    for (const precision of ['fp32', 'int4'] as const) {
      const use = lengthUseOf(readGraph(gatherLogitsRows(tinyModel(precision))));
      expect(use).toEqual({ mixed: [], chosen: [], borders: [], windows: [], positions: 256 });
    }
  });

  it.each([
    [
      'the widest row is compared',
      node('Greater', ['width', 'far']),
      /Greater it takes the length of the longest/,
    ],
    [
      'the widest row is added to numbers',
      node('Add', ['q', 'width']),
      /Add it takes the length of the longest/,
    ],
    [
      'the lengths of rows go elsewhere',
      node('Mul', ['q', 'lengths']),
      /Unsqueeze after takes a multiple of a length/,
    ],
    [
      'the mask goes elsewhere',
      node('CumSum', ['attention_mask', 'one']),
      /CumSum it takes the attention mask/,
    ],
    ['the mask is summed over rows', node('ReduceSum', ['attention_mask', 'zero']), /ReduceSum it takes/],
    [
      'the sizes of caches go elsewhere',
      node('Shape', ['past_key_values.0.key']),
      /Unsqueeze after takes the length/,
    ],
    ['the tokens of a step are numbers', node('Shape', ['q']), /Unsqueeze after takes the number of tokens/],
    ['positions are compared', node('ReduceMax', ['position_ids']), /ReduceMax it takes positions/],
    [
      'attention is told the widest row for each',
      { ...attention[4]!, name: 'it', inputs: ['q', 'k', 'v', '', '', 'width'] },
      /GroupQueryAttention it takes/,
    ],
  ])('can make a row depend on others where %s', (_, added, found) => {
    const after = { ...node('Unsqueeze', ['out', 'q']), name: 'after', outputs: ['last'] };
    const { mixed, chosen } = useOf([added, after]);
    expect(mixed.join('\n')).toMatch(found);
    expect(chosen).toEqual([]);
  });

  it.each([
    ['a row of a table for each token', [node('Gather', ['table', 'position_ids'])]],
    ['the form of a tensor', [node('Shape', ['q'], ['s']), node('Reshape', ['q', 's'])]],
    ['positions of tokens', [node('RotaryEmbedding', ['q', 'position_ids', 'cos', 'sin'])]],
  ])('do not where they are %s', (_, added) => {
    expect(useOf(added)).toMatchObject({ mixed: [], borders: [] });
  });

  it('say above which numbers something else may be computed', () => {
    const less = node('Less', ['lengths', 'ten'], ['a']);
    const moved = [node('Add', ['width', 'ten'], ['b']), node('Greater', ['b', 'far'], ['c'])];
    expect(useOf([less]).borders).toEqual([10]);
    expect(useOf(moved).borders).toEqual([10, 4096]);
    // The whole, the last one, and one less are no borders.
    const none = ['one', 'least', 'end'].map((value, at) => node('Equal', ['lengths', value], [`none${at}`]));
    expect(useOf(none).borders).toEqual([]);
  });

  it('choose at an unknown length where they are scaled, or decide about whole parts of a graph', () => {
    const scaled = [node('Mul', ['width', 'ten'], ['m']), node('Greater', ['m', 'far'])];
    expect(useOf(scaled).chosen).toEqual(['Greater it by a multiple of a length']);
    expect(useOf([node('If', ['q'])]).chosen).toEqual(['If it']);
    expect(useOf([node('Loop', ['width', 'q'])]).chosen).toEqual(['Loop it']);
    const known = [node('Greater', ['width', 'far'], ['longer']), node('If', ['longer'])];
    expect(useOf(known)).toMatchObject({ chosen: [], borders: [4096] });
  });

  it('end with the shortest table of positions, and windows look back', () => {
    const rotary = node('RotaryEmbedding', ['q', 'position_ids', 'table', 'table']);
    expect(useOf([rotary]).positions).toBe(32);
    const windowed = { ...attention[4]!, attributes: { local_window_size: 12 } };
    expect(useOf([windowed]).windows).toEqual([12]);
  });
});
