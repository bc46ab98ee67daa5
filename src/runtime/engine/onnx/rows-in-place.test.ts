import { describe, expect, it } from 'vitest';
import { handMade } from './graph.fixture.ts';
import { applyEdit, type Graph, inputShape, readGraph } from './graph.ts';
import { nodeMessage, valueInfoMessage } from './messages.ts';
import { rowInputs, rowsInPlace, writesInPlace } from './rows-in-place.ts';
import { elementType } from './schema.ts';

const past = 'past_key_values.0.key';
const present = 'present.0.key';

/** A graph of one cache entry, whose present output `opType` makes. */
const graphWith = (
  opType: string,
  { inputs = [past, 'new'], axis = 2, also = [] as readonly string[] } = {},
): Graph => {
  const made = readGraph(
    handMade({
      nodes: [
        { opType: 'Relu', name: 'makes', inputs: ['x'], outputs: ['new'] },
        { opType, name: 'append', inputs, outputs: [present], attributes: { axis } },
        ...also.map((name) => ({ opType: name, name, inputs: [past], outputs: [`${name}.out`] })),
      ],
      inputs: ['x', past],
      outputs: [present],
    }),
  );
  const shape = ['batch', 2, 'past', 16];
  return readGraph(
    applyEdit(made, {
      nodes: new Map(),
      newInputs: [],
      staleShapes: new Set(),
      outputs: new Map(),
      inputs: new Map([[past, valueInfoMessage(past, elementType.float, shape)]]),
    }),
  );
};

const changed = (graph: Graph): Graph => readGraph(rowsInPlace(graph, 16) ?? Buffer.alloc(0));

describe('a graph that appends keys and values', () => {
  it('is fed rows, writes what is new into them, and reads what it would have appended', () => {
    const graph = changed(graphWith('Concat'));
    expect(graph.inputs).toEqual(['x', `${past}.rows`, ...Object.values(rowInputs)]);
    expect(graph.outputs).toEqual([`${present}.rows`]);
    expect(inputShape(graph, `${past}.rows`)).toEqual(['kv_rows', 2, 'kv_room', 16]);
    expect(inputShape(graph, rowInputs.places)).toEqual(['batch', 2, 'kv_added_tokens', 3]);
    const write = graph.nodes.find(({ opType }) => opType === 'ScatterND');
    expect(write).toMatchObject({
      inputs: [`${past}.rows`, rowInputs.places, 'new'],
      outputs: [`${present}.rows`],
    });
    expect(graph.nodes.some(({ name }) => name === 'append')).toBe(false);
    const [before, read] = [write!, graph.nodes.find(({ outputs }) => outputs.includes(present))!];
    expect(graph.nodes.indexOf(before)).toBeLessThan(graph.nodes.indexOf(read));
    // Nobody asks for what was there before.
    expect(graph.nodes.some(({ outputs }) => outputs.includes(past))).toBe(false);
  });

  it('has what was there before where something else takes it, also a part of the graph that names no inputs', () => {
    for (const also of ['Shape', 'If']) {
      const graph = changed(graphWith('Concat', { also: [also] }));
      expect(graph.nodes.filter(({ outputs }) => outputs.includes(past))).toHaveLength(1);
    }
  });

  it.each([
    ['behind the new ones', graphWith('Concat', { inputs: ['new', past] })],
    ['with more', graphWith('Concat', { inputs: [past, 'new', 'new'] })],
    ['along another axis', graphWith('Concat', { axis: 1 })],
    ['by another operator', graphWith('Add')],
  ])('%s, is left alone', (_, graph) => {
    expect(writesInPlace(graph)).toBe(false);
    expect(rowsInPlace(graph, 16)).toBeUndefined();
  });

  it('is none where attention writes in place', () => {
    expect(writesInPlace(graphWith('GroupQueryAttention'))).toBe(true);
    expect(writesInPlace(graphWith('Concat'))).toBe(false);
  });

  it('is a valid message as it was before, node by node', () => {
    const graph = graphWith('Concat');
    const [relu] = graph.nodes;
    expect(changed(graph).nodes.find(({ name }) => name === 'makes')?.bytes).toEqual(relu?.bytes);
    expect(relu?.bytes).toEqual(
      nodeMessage({ opType: 'Relu', name: 'makes', inputs: ['x'], outputs: ['new'] }),
    );
  });
});
