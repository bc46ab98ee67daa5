import { describe, expect, it } from 'vitest';
import { changedGraph, withInteger, withOperator } from '../../../../test/support/changed-graph.ts';
import { fixtureGraph } from '../../../../test/support/fixture-models.ts';
import { tinyModel } from './graph.fixture.ts';
import { type Node, readGraph } from './graph.ts';
import { lengthUseOf } from './lengths.ts';
import { nodeMessage, withInput } from './messages.ts';
import { joinPositionTables } from './position-tables.ts';

const exported = fixtureGraph('builder-phi3-longrope');

const joinedAfter = (change: (node: Node) => readonly Buffer[] | undefined) =>
  joinPositionTables(readGraph(changedGraph(exported, change)));

describe('joining tables of positions', () => {
  it('puts the long table below the short one, and lets an input choose for each token', () => {
    const joined = joinPositionTables(readGraph(exported));
    expect(joined?.tables).toEqual({ above: 72, offset: 72, rows: 160 });
    const graph = readGraph(joined?.model ?? Buffer.alloc(0));
    expect(graph.inputs).toEqual([...readGraph(exported).inputs, 'table_rows']);
    for (const table of ['cos_cache', 'sin_cache']) {
      const join = graph.nodes.find(({ outputs }) => outputs.includes(table));
      expect(join?.opType).toBe('Concat');
      expect(join?.inputs.map((input) => graph.initializers.get(input)?.dims)).toEqual([
        [72, 8],
        [160, 8],
      ]);
    }
    const attentions = graph.nodes.filter(({ opType }) => opType === 'GroupQueryAttention');
    expect(attentions.map(({ inputs }) => inputs.slice(7, 10))).toEqual(
      attentions.map(() => ['cos_cache', 'sin_cache', 'table_rows']),
    );
    // Nothing chooses by the longest row any more.
    expect(lengthUseOf(graph, joined?.tables)).toEqual({
      mixed: [],
      chosen: [],
      borders: [],
      windows: [],
      positions: 160,
    });
  });

  it('leaves a graph alone that chooses nothing, and one whose tables are joined', () => {
    expect(joinPositionTables(readGraph(tinyModel('fp32')))).toBeUndefined();
    const joined = joinPositionTables(readGraph(exported));
    expect(joinPositionTables(readGraph(joined?.model ?? Buffer.alloc(0)))).toBeUndefined();
  });

  it.each<[string, (node: Node) => readonly Buffer[] | undefined]>([
    [
      'by another comparison',
      (node) => (node.opType === 'Greater' ? [withOperator(node, 'GreaterOrEqual')] : undefined),
    ],
    [
      'by the number of rows',
      (node) => (node.opType === 'Greater' ? [withInput(node, 0, 'input_ids')] : undefined),
    ],
    [
      'for an attention that has positions already',
      (node) => (node.opType === 'GroupQueryAttention' ? [withInput(node, 9, 'position_ids')] : undefined),
    ],
    [
      'for an attention that does not rotate',
      (node) => (node.opType === 'GroupQueryAttention' ? [withInteger(node, 'do_rotary', 0)] : undefined),
    ],
    [
      'for one of two attentions only',
      (node) =>
        node.name === '/model/layers.1/attn/GroupQueryAttention' ? [withInput(node, 7, 'other')] : undefined,
    ],
    [
      'also for something else',
      (node) =>
        node.opType === 'If'
          ? [
              node.bytes,
              nodeMessage({ opType: 'Identity', name: 'more', inputs: ['cos_cache'], outputs: ['more'] }),
            ]
          : undefined,
    ],
  ])('leaves a graph alone that chooses %s', (_, change) => {
    expect(joinedAfter(change)).toBeUndefined();
  });
});
