import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type NewNode, nodeMessage, valueInfoMessage } from './messages.ts';
import { elementType, entryField, graphField, modelField, tensorField } from './schema.ts';
import { contentField, integerField, readFields } from './wire.ts';

/** Graphs for tests: the tiny model, and graphs made by hand. */

export const tinyModelFolder = (precision: 'fp32' | 'int4'): string =>
  fileURLToPath(new URL(`../../../../test/fixtures/models/tiny/model/onnx-${precision}`, import.meta.url));

export const tinyModel = (precision: 'fp32' | 'int4'): Buffer =>
  readFileSync(`${tinyModelFolder(precision)}/model.onnx`);

export type HandMadeGraph = {
  readonly nodes: readonly NewNode[];
  /** Names and shapes of float32 initializers. */
  readonly weights?: Readonly<Record<string, readonly number[]>>;
  /** int64 initializers. */
  readonly integers?: Readonly<Record<string, readonly number[]>>;
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  /** Element type of the weights. */
  readonly dataType?: number;
};

/** A model around a graph; nothing in it needs to make sense. */
export const handMade = (graph: HandMadeGraph): Buffer => {
  const {
    nodes,
    weights = {},
    integers = {},
    inputs = [],
    outputs = [],
    dataType = elementType.float,
  } = graph;
  const content = Buffer.concat([
    ...nodes.map((node) => contentField(graphField.node, nodeMessage(node))),
    ...Object.entries(weights).map(([name, dims]) =>
      contentField(
        graphField.initializer,
        Buffer.concat([
          ...dims.map((size) => integerField(tensorField.dims, size)),
          integerField(tensorField.dataType, dataType),
          contentField(tensorField.name, name),
        ]),
      ),
    ),
    ...Object.entries(integers).map(([name, values]) =>
      contentField(
        graphField.initializer,
        Buffer.concat([
          integerField(tensorField.dims, values.length),
          integerField(tensorField.dataType, elementType.int64),
          ...values.map((value) => integerField(tensorField.int64Data, value)),
          contentField(tensorField.name, name),
        ]),
      ),
    ),
    ...inputs.map((name) => contentField(graphField.input, valueInfoMessage(name, elementType.float, ['n']))),
    ...outputs.map((name) =>
      contentField(graphField.output, valueInfoMessage(name, elementType.float, ['n'])),
    ),
  ]);
  return Buffer.concat([integerField(modelField.irVersion, 8), contentField(modelField.graph, content)]);
};

/** All linears of one llama layer as MatMul nodes, with their weights. */
export const llamaLayer = (layer: number, block = 'attn', suffix = ''): HandMadeGraph => {
  const projections = [
    ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name) => `${block}/${name}`),
    ...['gate_proj', 'up_proj', 'down_proj'].map((name) => `mlp/${name}`),
  ];
  const nodes = projections.map((name) => ({
    opType: 'MatMul',
    name: `/model/layers.${layer}/${name}/MatMul${suffix}`,
    inputs: ['x', `${layer}.${name}.weight`],
    outputs: [`${layer}.${name}.out`],
  }));
  const weights = Object.fromEntries(projections.map((name) => [`${layer}.${name}.weight`, [4, 6]]));
  return { nodes, weights };
};

const externalEntry = (key: string, value: string | number): Buffer =>
  contentField(
    tensorField.externalData,
    Buffer.concat([contentField(entryField.key, key), contentField(entryField.value, String(value))]),
  );

/** A TensorProto of 300 floats, with its values or the entries that say where they are. */
export const rawTensor = (name: string, values: Buffer | Readonly<Record<string, string | number>>): Buffer =>
  Buffer.concat([
    integerField(tensorField.dims, 300),
    integerField(tensorField.dataType, elementType.float),
    contentField(tensorField.name, name),
    ...(Buffer.isBuffer(values)
      ? [contentField(tensorField.rawData, values)]
      : Object.entries(values).map(([key, value]) => externalEntry(key, value))),
  ]);

/** A graph of one node with these initialisers. */
export const modelWith = (...tensors: readonly Buffer[]): Buffer => {
  const made = handMade({ nodes: [{ opType: 'Relu', name: 'n', inputs: ['x'], outputs: ['y'] }] });
  const graph = readFields(made).find(({ number }) => number === modelField.graph);
  if (graph === undefined) throw new Error('a model without a graph');
  const initializers = tensors.map((tensor) => contentField(graphField.initializer, tensor));
  const content = Buffer.concat([made.subarray(graph.valueStart, graph.end), ...initializers]);
  return Buffer.concat([made.subarray(0, graph.start), contentField(modelField.graph, content)]);
};
