import { describe, expect, it } from 'vitest';
import { handMade, tinyModel } from './graph.fixture.ts';
import { readGraph } from './graph.ts';
import { gatherLogitsRows } from './logits-rows.ts';
import { valueInfoMessage } from './messages.ts';
import { elementType } from './schema.ts';

/** lm_head as the optimiser writes a linear with a bias: rows as a matrix, and back. */
const matrixHead = {
  nodes: [
    { opType: 'Reshape', name: 'flatten', inputs: ['hidden', 'flat'], outputs: ['matrix'] },
    { opType: 'Shape', name: 'shape', inputs: ['hidden'], outputs: ['size'] },
    { opType: 'Concat', name: 'concat', inputs: ['size', 'vocabulary'], outputs: ['whole'] },
    { opType: 'Gemm', name: 'head', inputs: ['matrix', 'w', 'b'], outputs: ['rows'] },
    { opType: 'Reshape', name: 'unflatten', inputs: ['rows', 'whole'], outputs: ['logits'] },
  ],
  weights: { w: [4, 9], b: [9], flat: [2], vocabulary: [1] },
  outputs: ['logits'],
};

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

  it('finds lm_head beside its bias, whichever of the two is written first', () => {
    const nodes = [
      { opType: 'MatMul', name: 'head', inputs: ['hidden', 'w'], outputs: ['raw'] },
      { opType: 'Add', name: 'bias', inputs: ['b', 'raw'], outputs: ['logits'] },
    ];
    const after = readGraph(
      gatherLogitsRows(handMade({ nodes, weights: { w: [4, 9], b: [9] }, outputs: ['logits'] })),
    );
    expect(after.nodes[1]?.inputs).toEqual(['hidden.wanted', 'w']);
  });

  it('takes an embedding, transposed, for the weights of lm_head', () => {
    const nodes = [
      { opType: 'Transpose', name: 'Transpose_9', inputs: ['embedding'], outputs: ['w'] },
      { opType: 'MatMul', name: 'head', inputs: ['hidden', 'w'], outputs: ['logits'] },
    ];
    const model = handMade({ nodes, weights: { embedding: [9, 4] }, outputs: ['logits'] });
    const gathered = gatherLogitsRows(model);
    expect(readGraph(gathered).nodes.map((node) => node.opType)).toEqual(['Transpose', 'Gather', 'MatMul']);
    const logits = valueInfoMessage('logits', elementType.float, ['batch_size', 'rows', 9]);
    expect(gathered.includes(logits)).toBe(true);
  });

  it('gathers before the reshape to a matrix, and takes the shape of the logits from what is left', () => {
    const after = readGraph(gatherLogitsRows(handMade(matrixHead)));
    const inputsOf = (name: string) => after.nodes.find((node) => node.name === name)?.inputs;
    expect(inputsOf('flatten')).toEqual(['hidden.wanted', 'flat']);
    expect(inputsOf('shape')).toEqual(['hidden.wanted']);
    expect(inputsOf('head')).toEqual(['matrix', 'w', 'b']);
    expect(after.nodes[0]).toMatchObject({ opType: 'Gather', inputs: ['hidden', 'logits_rows'] });
  });

  it('refuses logits whose shape does not follow from the rows', () => {
    const nodes = matrixHead.nodes.map((node) =>
      node.name === 'shape' ? { ...node, inputs: ['input_ids'] } : node,
    );
    expect(() => gatherLogitsRows(handMade({ ...matrixHead, nodes }))).toThrow(/shape of the logits, whole,/);
  });

  it('refuses a Gemm, which takes no batch', () => {
    const nodes = [{ opType: 'Gemm', name: 'head', inputs: ['hidden', 'w'], outputs: ['logits'] }];
    expect(() => gatherLogitsRows(handMade({ nodes, weights: { w: [4, 9] }, outputs: ['logits'] }))).toThrow(
      /lm_head is Gemm/,
    );
  });

  it('takes the rows of all positions where the builder keeps the last one only', () => {
    const nodes = [
      { opType: 'Gather', name: '/lm_head/prune/Gather', inputs: ['all', 'last'], outputs: ['row'] },
      { opType: 'Unsqueeze', name: '/lm_head/prune/Unsqueeze', inputs: ['row', 'one'], outputs: ['kept'] },
      { opType: 'MatMul', name: '/lm_head/MatMul', inputs: ['kept', 'w'], outputs: ['logits'] },
    ];
    const after = readGraph(
      gatherLogitsRows(handMade({ nodes, weights: { w: [4, 9] }, outputs: ['logits'] })),
    );
    expect(after.nodes[2]?.inputs).toEqual(['all', 'logits_rows']);
    expect(after.nodes[3]?.inputs).toEqual([after.nodes[2]?.outputs[0], 'w']);
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
