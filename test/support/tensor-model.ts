import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeMessage, valueInfoMessage } from '../../src/runtime/engine/onnx/messages.ts';
import { elementType, graphField, modelField, opsetField } from '../../src/runtime/engine/onnx/schema.ts';
import { contentField, integerField } from '../../src/runtime/engine/onnx/wire.ts';

const node = (opType: string, inputs: readonly string[], output: string, attributes = {}): Buffer =>
  contentField(graphField.node, nodeMessage({ opType, name: output, inputs, outputs: [output], attributes }));

const constant = (name: string, value: number): readonly Buffer[] => [
  node('Constant', [], `${name}.int`, { value_int: value }),
  node('Cast', [`${name}.int`], name, { to: elementType.float }),
];

const modelOf = (graph: Buffer): Buffer =>
  Buffer.concat([
    integerField(1, 8),
    contentField(modelField.graph, graph),
    contentField(modelField.opsetImport, integerField(opsetField.version, 17)),
  ]);

/** What stands before the columns of the graph's tensors. */
export type RowSymbols = { readonly x: number | string; readonly y: number | string };

/**
 * A graph of plain tensors: x [rows, 2] float32 gives y = 2x [rows, 2], and run [rows], which has in each row the number of
 * rows that were run together.
 */
export const tensorModel = ({ x, y }: RowSymbols = { x: 'rows', y: 'rows' }): Buffer => {
  const nodes = [
    ...constant('two', 2),
    ...constant('none', 0),
    ...constant('one', 1),
    ...constant('four', 4),
    node('Constant', [], 'columns', { value_ints: [1] }),
    node('Mul', ['x', 'two'], 'y'),
    node('Mul', ['x', 'none'], 'zeros'),
    node('Add', ['zeros', 'one'], 'ones'),
    node('ReduceSum', ['ones', 'columns'], 'twos', { keepdims: 0 }),
    node('ReduceSum', ['ones'], 'sum', { keepdims: 0 }),
    node('Mul', ['twos', 'sum'], 'fourfold'),
    node('Div', ['fourfold', 'four'], 'run'),
  ];
  const graph = Buffer.concat([
    ...nodes,
    contentField(2, 'tensors'),
    contentField(graphField.input, valueInfoMessage('x', elementType.float, [x, 2])),
    contentField(graphField.output, valueInfoMessage('y', elementType.float, [y, 2])),
    contentField(graphField.output, valueInfoMessage('run', elementType.float, [y])),
  ]);
  return modelOf(graph);
};

/** A graph that fails with some values: i [rows] int64 gives v [rows], 10, 20 or 30; of any other number ONNX Runtime wants none. */
export const lookupModel = (): Buffer =>
  modelOf(
    Buffer.concat([
      node('Constant', [], 'table.int', { value_ints: [10, 20, 30] }),
      node('Cast', ['table.int'], 'table', { to: elementType.float }),
      node('Gather', ['table', 'i'], 'v', { axis: 0 }),
      contentField(2, 'lookup'),
      contentField(graphField.input, valueInfoMessage('i', elementType.int64, ['rows'])),
      contentField(graphField.output, valueInfoMessage('v', elementType.float, ['rows'])),
    ]),
  );

/** Writes the graph as a base model; resolves with its folder. */
export const writeTensorModel = async (folder: string, model: Buffer = tensorModel()): Promise<string> => {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'model.onnx'), model);
  return folder;
};
