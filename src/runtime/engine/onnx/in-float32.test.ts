import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { tensorOfConstant } from './constants.ts';
import { handMade, tinyModel } from './graph.fixture.ts';
import {
  applyEdit,
  attributeOf,
  type Graph,
  integerAttribute,
  type Node,
  readGraph,
  readGraphMessage,
  readInitializer,
  tensorsOf,
} from './graph.ts';
import { growthOfHalves, inFloat32 } from './in-float32.ts';
import { nodeMessage, valueInfoMessage } from './messages.ts';
import { attributeField, elementType, entryField, graphField, nodeField, tensorField } from './schema.ts';
import { contentField, contentOf, integerField, readFields } from './wire.ts';

const { float, float16, bfloat16 } = elementType;

const halves = (values: readonly number[]): Buffer => Buffer.from(Float16Array.from(values).buffer);

/** A TensorProto of 16 bits, with its values. */
const stored = (name: string, values: readonly number[], type: number = float16): Buffer =>
  Buffer.concat([
    integerField(tensorField.dims, values.length),
    integerField(tensorField.dataType, type),
    contentField(tensorField.name, name),
    contentField(tensorField.rawData, halves(values)),
  ]);

/** The same with its values in a file. */
const inFile = (name: string, dims: readonly number[], type: number = float16): Buffer =>
  Buffer.concat([
    ...dims.map((size) => integerField(tensorField.dims, size)),
    integerField(tensorField.dataType, type),
    contentField(tensorField.name, name),
    contentField(
      tensorField.externalData,
      Buffer.concat([
        contentField(entryField.key, 'location'),
        contentField(entryField.value, 'weights.bin'),
      ]),
    ),
  ]);

const withMessage = (node: Buffer, name: string, number: number, content: Buffer): Buffer =>
  Buffer.concat([
    node,
    contentField(
      nodeField.attribute,
      Buffer.concat([contentField(attributeField.name, name), contentField(number, content)]),
    ),
  ]);

type Made = {
  readonly nodes: readonly Buffer[];
  readonly initializers?: readonly Buffer[];
  readonly inputs?: readonly Buffer[];
};

const graphOf = ({ nodes, initializers = [], inputs = [] }: Made): Graph => {
  const graph = readGraph(
    handMade({ nodes: [{ opType: 'Relu', name: 'r', inputs: ['x'], outputs: ['y'] }], outputs: ['y'] }),
  );
  return readGraph(
    applyEdit(graph, {
      nodes: new Map(graph.nodes.map((node) => [node, nodes] as const)),
      newInputs: inputs,
      newInitializers: initializers,
      staleShapes: new Set(),
      outputs: new Map([['y', valueInfoMessage('y', float16, ['n'])]]),
      shapes: new Map([['m', valueInfoMessage('m', bfloat16, ['n', 4])]]),
    }),
  );
};

const node = (opType: string, inputs: readonly string[], outputs: readonly string[], to?: number): Buffer =>
  nodeMessage({
    opType,
    name: outputs.join(),
    inputs,
    outputs,
    ...(to === undefined ? {} : { attributes: { to } }),
  });

const told = ({ nodes }: Pick<Graph, 'nodes'>): readonly string[] =>
  nodes.map(({ opType, inputs, outputs }) => `${opType} ${inputs.join()} -> ${outputs.join()}`);

/** Numbers of a TensorProto with its values as float32. */
const floatsOf = (tensor: Buffer): readonly number[] => {
  expect(readInitializer(tensor).dataType).toBe(float);
  const raw = readFields(tensor).find(({ number }) => number === tensorField.rawData)!;
  return [...new Float32Array(Uint8Array.from(contentOf(tensor, raw)).buffer)];
};

const constantOf = (found: Node | undefined): readonly number[] =>
  floatsOf(tensorOfConstant(found as Node)!.bytes);

describe('a graph of 16 bits in float32', () => {
  it('is the graph itself where it has none', () => {
    const graph = readGraph(tinyModel('int4'));
    expect(inFloat32(graph)).toBe(graph);
    expect(growthOfHalves(graph)).toBe(0);
  });

  it('takes and gives float32, of the same shapes', () => {
    const made = graphOf({
      nodes: [node('Add', ['x', 'x'], ['y'])],
      inputs: [valueInfoMessage('x', float16, ['n']), valueInfoMessage('ids', elementType.int64, ['n'])],
    });
    const graph = inFloat32(made);
    expect(tensorsOf(graph, 'inputs')).toEqual([
      { name: 'x', code: float, shape: ['n'] },
      { name: 'ids', code: elementType.int64, shape: ['n'] },
    ]);
    expect(tensorsOf(graph, 'outputs')).toEqual([{ name: 'y', code: float, shape: ['n'] }]);
    expect(graph.model.includes(valueInfoMessage('m', float, ['n', 4]))).toBe(true);
    expect(inFloat32(graph)).toBe(graph);
  });

  it('computes in float32 where a node says a type, and leaves other numbers alone', () => {
    const transpose = nodeMessage({
      opType: 'Other',
      name: 'o',
      inputs: ['h'],
      outputs: ['y'],
      attributes: { axis: float16, dtype: bfloat16, softmax_precision: float16 },
    });
    const { nodes } = inFloat32(
      graphOf({ nodes: [node('Cast', ['x'], ['h'], float16), node('Cast', ['x'], ['i'], 7), transpose] }),
    );
    expect(nodes.map((each) => integerAttribute(each, 'to'))).toEqual([float, 7, undefined]);
    expect(['axis', 'dtype', 'softmax_precision'].map((name) => integerAttribute(nodes[2]!, name))).toEqual([
      float16,
      float,
      float,
    ]);
  });

  it('has the numbers of small tensors, however they are written', () => {
    const numbers = [0, -1.5, 65504, 6e-8, Infinity];
    const asIntegers = Buffer.concat([
      integerField(tensorField.dims, 2),
      integerField(tensorField.dataType, float16),
      contentField(tensorField.name, 'integers'),
      // Packed: 0x3e00 is 1.5, 0xc000 is -2.
      contentField(tensorField.int32Data, Buffer.from([0x80, 0x7c, 0x80, 0x80, 0x03])),
    ]);
    const one = Buffer.concat([
      integerField(tensorField.dataType, bfloat16),
      contentField(tensorField.name, 'one'),
      integerField(tensorField.int32Data, 0xbf80),
    ]);
    const constant = withMessage(
      node('Constant', [], ['c']),
      'value',
      attributeField.tensor,
      stored('', [0.25]),
    );
    const graph = inFloat32(
      graphOf({
        nodes: [constant, node('Add', ['small', 'c'], ['y'])],
        initializers: [stored('small', numbers), asIntegers, one],
      }),
    );
    expect(told(graph)).toEqual(['Constant  -> c', 'Add small,c -> y']);
    expect(floatsOf(graph.initializers.get('small')!.bytes)).toEqual([
      ...Float32Array.from(Float16Array.from(numbers)),
    ]);
    expect(floatsOf(graph.initializers.get('integers')!.bytes)).toEqual([1.5, -2]);
    expect(floatsOf(graph.initializers.get('one')!.bytes)).toEqual([-1]);
    expect(constantOf(graph.nodes[0])).toEqual([0.25]);
    expect(growthOfHalves(graph)).toBe(0);
  });

  it('leaves weights in their file, and widens them before the first node that takes one', () => {
    const graph = inFloat32(
      graphOf({
        nodes: [node('MatMul', ['x', 'weights'], ['h']), node('MatMul', ['h', 'weights'], ['y'])],
        initializers: [
          inFile('weights', [32, 32]),
          inFile('unused', [8]),
          inFile('int', [8], elementType.uint8),
        ],
        // Of old exporters.
        inputs: [valueInfoMessage('weights', float16, [32, 32])],
      }),
    );
    expect(told(graph)).toEqual([
      'Cast weights.half -> weights',
      'MatMul x,weights -> h',
      'MatMul h,weights -> y',
    ]);
    expect(integerAttribute(graph.nodes[0]!, 'to')).toBe(float);
    expect(
      [...graph.initializers].map(([name, { dataType, location }]) => [name, dataType, location]),
    ).toEqual([
      ['weights.half', float16, 'weights.bin'],
      ['unused.half', float16, 'weights.bin'],
      ['int', elementType.uint8, 'weights.bin'],
    ]);
    expect(tensorsOf(graph, 'inputs')).toEqual([]);
    expect(growthOfHalves(graph)).toBe(2 * 32 * 32);
  });

  it('widens rows of a table as they are gathered, and the table where something else takes it', () => {
    const gather = node('Gather', ['table', 'ids'], ['h']);
    const of = (nodes: readonly Buffer[]) =>
      inFloat32(graphOf({ nodes, initializers: [inFile('table', [100, 4])] }));
    const rows = ['Gather table.half,ids -> h.half', 'Cast h.half -> h'];
    const alone = of([gather, node('Relu', ['h'], ['y'])]);
    expect(told(alone)).toEqual([...rows, 'Relu h -> y']);
    expect(growthOfHalves(alone)).toBe(0);
    const shared = of([gather, node('MatMul', ['h', 'table'], ['y'])]);
    expect(told(shared)).toEqual(['Cast table.half -> table', ...rows, 'MatMul h,table -> y']);
    expect(growthOfHalves(shared)).toBe(2 * 400);
  });

  it('goes into branches, which take values from around them', () => {
    const content = Buffer.concat([
      contentField(
        graphField.node,
        withMessage(node('Constant', [], ['t']), 'value', attributeField.tensor, stored('', [3])),
      ),
      contentField(graphField.node, node('Gather', ['table', 'ids'], ['g'])),
      contentField(graphField.output, valueInfoMessage('t', float16, ['n'])),
    ]);
    const graph = inFloat32(
      graphOf({
        nodes: [withMessage(node('If', ['x'], ['y']), 'then_branch', attributeField.graph, content)],
        initializers: [inFile('table', [100, 4])],
      }),
    );
    expect(told(graph)).toEqual(['Cast table.half -> table', 'If x -> y']);
    const attribute = attributeOf(graph.nodes[1]!, 'then_branch')!;
    const inner = readFields(attribute).find(({ number }) => number === attributeField.graph)!;
    const found = readGraphMessage(contentOf(attribute, inner));
    expect(told(found)).toEqual(['Constant  -> t', 'Gather table,ids -> g']);
    expect(constantOf(found.nodes[0])).toEqual([3]);
    expect(contentOf(attribute, inner).includes(valueInfoMessage('t', float, ['n']))).toBe(true);
  });

  it('has names of its own', () => {
    const graph = inFloat32(
      graphOf({
        nodes: [node('Add', ['weights', 'weights.half'], ['y'])],
        initializers: [inFile('weights', [4]), inFile('weights.half', [4])],
      }),
    );
    expect(told(graph)).toEqual([
      'Cast weights.half_ -> weights',
      'Cast weights.half.half_ -> weights.half',
      'Add weights,weights.half -> y',
    ]);
  });

  it('keeps a graph that a real exporter wrote for a GPU as it is in all else', () => {
    const path = '../../../../test/fixtures/exports/llama/half/model.onnx';
    const exported = readGraph(readFileSync(new URL(path, import.meta.url)));
    const graph = inFloat32(exported);
    const kinds = ({ nodes }: Graph) =>
      nodes.map(({ opType }) => opType).filter((opType) => opType !== 'Cast');
    expect(kinds(graph)).toEqual(kinds(exported));
    expect(graph.inputs).toEqual(exported.inputs);
    expect(graph.outputs).toEqual(exported.outputs);
  });
});
