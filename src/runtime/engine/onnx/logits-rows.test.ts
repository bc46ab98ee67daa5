import { describe, expect, it } from 'vitest';
import { readGraph } from './graph.ts';
import { handMade, tinyModel } from './graph-fixture.ts';
import { gatherLogitsRows } from './logits-rows.ts';

describe('gathering rows before lm_head', () => {
  it.each(['fp32', 'int4'] as const)('adds one node and one input to the tiny %s model', (precision) => {
    const before = readGraph(tinyModel(precision));
    const after = readGraph(gatherLogitsRows(tinyModel(precision)));
    expect(after.nodes).toHaveLength(before.nodes.length + 1);
    expect(after.inputs).toEqual([...before.inputs, 'logits_rows']);
    expect(after.outputs).toEqual(before.outputs);
    const head = after.nodes.find((node) => node.outputs.includes('logits'));
    expect(after.nodes.find((node) => node.outputs.includes(head?.inputs[0] ?? ''))?.opType).toBe('Gather');
  });

  it('finds lm_head behind nodes that work on each row by itself', () => {
    const nodes = [
      { opType: 'MatMul', name: 'head', inputs: ['hidden', 'w'], outputs: ['raw'] },
      { opType: 'Tanh', name: 'cap', inputs: ['raw'], outputs: ['logits'] },
    ];
    const graph = readGraph(
      gatherLogitsRows(handMade({ nodes, weights: { w: [4, 9] }, outputs: ['logits'] })),
    );
    expect(graph.nodes.map((node) => node.opType)).toEqual(['Gather', 'MatMul', 'Tanh']);
  });

  it('refuses a graph whose logits mix rows', () => {
    const nodes = [{ opType: 'Softmax', name: 's', inputs: ['hidden'], outputs: ['logits'] }];
    expect(() => gatherLogitsRows(handMade({ nodes, outputs: ['logits'] }))).toThrow(/come from Softmax/);
  });

  it('refuses a graph without logits', () => {
    const nodes = [{ opType: 'Tanh', name: 't', inputs: ['x'], outputs: ['last_hidden_state'] }];
    expect(() => gatherLogitsRows(handMade({ nodes }))).toThrow(/No node of the graph computes "logits"/);
  });
});
