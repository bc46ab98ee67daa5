import { describe, expect, it } from 'vitest';
import { externalWeights, moveValues } from './external-weights.ts';
import { modelWith, rawTensor } from './graph.fixture.ts';
import { applyEdit, readGraph } from './graph.ts';
import { nodeMessage } from './messages.ts';

describe('the weights of a graph that lie in files', () => {
  it('are told by place and shape', () => {
    const graph = readGraph(
      modelWith(
        rawTensor('a', { location: 'w.bin', offset: 64, length: 1200 }),
        rawTensor('b', { location: 'w.bin' }),
        rawTensor('inline', Buffer.alloc(1200)),
      ),
    );
    expect(externalWeights(graph)).toEqual([
      { name: 'a', dataType: 1, dims: [300], place: { location: 'w.bin', offset: 64, length: 1200 } },
      { name: 'b', dataType: 1, dims: [300], place: { location: 'w.bin', offset: 0 } },
    ]);
  });

  it.each(['x', '', '-1', '1.5', '9007199254740993'])('are refused at %j', (offset) => {
    const graph = readGraph(modelWith(rawTensor('a', { location: 'w.bin', offset })));
    expect(() => externalWeights(graph)).toThrow(expect.objectContaining({ code: 'MODEL_INVALID' }));
  });
});

describe('values that move out of a graph', () => {
  it('are named where they were put; small ones, and those in files, stay', () => {
    const large = Buffer.alloc(1200, 7);
    const before = modelWith(
      rawTensor('large', large),
      rawTensor('small', Buffer.alloc(1023)),
      rawTensor('outside', { location: 'w.bin', length: 1200 }),
    );
    const put: Buffer[] = [];
    const after = moveValues(before, (values) => {
      put.push(values);
      return { location: 'c.bin', offset: 128 };
    });
    expect(put).toEqual([large]);
    expect(after.includes(large)).toBe(false);
    const graph = readGraph(after);
    expect(externalWeights(graph).map(({ name, place }) => [name, place])).toEqual([
      ['large', { location: 'c.bin', offset: 128, length: 1200 }],
      ['outside', { location: 'w.bin', offset: 0, length: 1200 }],
    ]);
    expect([...graph.initializers.keys()]).toEqual(['large', 'small', 'outside']);
  });

  it.each([
    ['com.microsoft', ['small']],
    ['other', []],
  ])('have small ones among them where a linear of %s takes them', (domain, moved) => {
    const graph = readGraph(modelWith(rawTensor('small', Buffer.alloc(64))));
    const linear = nodeMessage({
      opType: 'MatMulNBits',
      domain,
      name: 'n',
      inputs: ['x', 'small'],
      outputs: ['y'],
    });
    const nodes = new Map(graph.nodes.map((node) => [node, [linear]]));
    const none = { newInputs: [], staleShapes: new Set<string>(), outputs: new Map<string, Buffer>() };
    const after = moveValues(applyEdit(graph, { nodes, ...none }), () => ({ location: 'c.bin', offset: 0 }));
    expect(externalWeights(readGraph(after)).map(({ name }) => name)).toEqual(moved);
  });
});
