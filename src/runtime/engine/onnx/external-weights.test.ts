import { describe, expect, it } from 'vitest';
import { externalWeights, moveValues } from './external-weights.ts';
import { modelWith, rawTensor } from './graph.fixture.ts';
import { readGraph } from './graph.ts';

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
});
