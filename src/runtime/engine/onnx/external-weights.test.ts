import { describe, expect, it } from 'vitest';
import { externalWeights, moveValues } from './external-weights.ts';
import { handMade } from './graph.fixture.ts';
import { readGraph } from './graph.ts';
import { elementType, graphField, modelField, tensorField } from './schema.ts';
import { contentField, integerField, readFields } from './wire.ts';

const entry = (key: string, value: string): Buffer =>
  contentField(tensorField.externalData, Buffer.concat([contentField(1, key), contentField(2, value)]));

const tensor = (name: string, ...values: Buffer[]): Buffer =>
  contentField(
    graphField.initializer,
    Buffer.concat([
      integerField(tensorField.dims, 300),
      integerField(tensorField.dataType, elementType.float),
      contentField(tensorField.name, name),
      ...values,
    ]),
  );

const raw = (bytes: Buffer): Buffer => contentField(tensorField.rawData, bytes);

/** A graph of one node with more initialisers. */
const model = (...tensors: Buffer[]): Buffer => {
  const made = handMade({ nodes: [{ opType: 'Relu', name: 'n', inputs: ['x'], outputs: ['y'] }] });
  const graph = readFields(made).find(({ number }) => number === modelField.graph);
  if (graph === undefined) throw new Error('the fixture has no graph');
  const content = Buffer.concat([made.subarray(graph.valueStart, graph.end), ...tensors]);
  return Buffer.concat([made.subarray(0, graph.start), contentField(modelField.graph, content)]);
};

describe('the weights of a graph that lie in files', () => {
  it('are told by place and shape', () => {
    const graph = readGraph(
      model(
        tensor('a', entry('location', 'w.bin'), entry('offset', '64'), entry('length', '1200')),
        tensor('b', entry('location', 'w.bin')),
        tensor('inline', raw(Buffer.alloc(1200))),
      ),
    );
    expect(externalWeights(graph)).toEqual([
      { name: 'a', dataType: 1, dims: [300], place: { location: 'w.bin', offset: 64, length: 1200 } },
      { name: 'b', dataType: 1, dims: [300], place: { location: 'w.bin', offset: 0 } },
    ]);
  });

  it.each(['x', '', '-1', '1.5', '9007199254740993'])('are refused at %j', (offset) => {
    const graph = readGraph(model(tensor('a', entry('location', 'w.bin'), entry('offset', offset))));
    expect(() => externalWeights(graph)).toThrow(expect.objectContaining({ code: 'MODEL_INVALID' }));
  });
});

describe('values that move out of a graph', () => {
  it('are named where they were put; small ones, and those in files, stay', () => {
    const large = Buffer.alloc(1200, 7);
    const before = model(
      tensor('large', raw(large)),
      tensor('small', raw(Buffer.alloc(1023))),
      tensor('outside', entry('location', 'w.bin'), entry('length', '1200')),
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
