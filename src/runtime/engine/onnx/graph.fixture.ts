import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type NewNode, nodeMessage, valueInfoMessage } from './messages.ts';
import { elementType, graphField, modelField, tensorField } from './schema.ts';
import { contentField, integerField } from './wire.ts';

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
  return Buffer.concat([integerField(1, 8), contentField(modelField.graph, content)]);
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
