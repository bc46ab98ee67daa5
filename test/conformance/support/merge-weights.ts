import type { Tensor } from 'onnxruntime-node';
import { applyEdit, integerAttribute, type Node, readGraph } from '../../../src/runtime/engine/onnx/graph.ts';
import { inputOf } from '../../../src/runtime/engine/onnx/lora-nodes.ts';
import { nodeMessage } from '../../../src/runtime/engine/onnx/messages.ts';
import { elementType, graphField, modelField, tensorField } from '../../../src/runtime/engine/onnx/schema.ts';
import {
  contentField,
  contentOf,
  integerField,
  readFields,
  textOf,
} from '../../../src/runtime/engine/onnx/wire.ts';
import type { AboutGraph, WeightPlace } from '../../support/fixture-models.ts';
import type { Adapter } from './onnx-fixture.ts';

/** The reference that injected graphs are held against: adapters merged into weights, W + B·A. */

const rawData = 9;

type Weights = ReadonlyMap<string, Uint8Array>;

const rawOf = (tensor: Buffer): { readonly name: string; readonly raw: Uint8Array } => {
  const fields = readFields(tensor);
  const name = fields.find(({ number }) => number === tensorField.name);
  const raw = fields.find(({ number }) => number === rawData);
  return {
    name: name === undefined ? '' : textOf(tensor, name),
    // A copy: floats must lie at a multiple of four.
    raw: raw === undefined ? new Uint8Array(0) : Uint8Array.from(contentOf(tensor, raw)),
  };
};

const onlyGraph = (model: Buffer): Buffer => {
  const field = readFields(model).find(({ number }) => number === modelField.graph);
  if (field === undefined) throw new Error('no graph');
  return contentOf(model, field);
};

const weightsOf = (model: Buffer): Weights => {
  const graph = onlyGraph(model);
  const tensors = readFields(graph).filter(({ number }) => number === graphField.initializer);
  return new Map(
    tensors.map((field) => {
      const { name, raw } = rawOf(contentOf(graph, field));
      return [name, raw] as const;
    }),
  );
};

const editGraph = (model: Buffer, edit: (graph: Buffer) => Buffer): Buffer =>
  Buffer.concat(
    readFields(model).map((field) =>
      field.number === modelField.graph
        ? contentField(modelField.graph, edit(contentOf(model, field)))
        : model.subarray(field.start, field.end),
    ),
  );

const floatsIn = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.buffer);
const bytesIn = (floats: Float32Array): Buffer => Buffer.from(floats.buffer);

const withWeights = (model: Buffer, values: ReadonlyMap<string, Float32Array>): Buffer =>
  editGraph(model, (graph) =>
    Buffer.concat(
      readFields(graph).map((field) => {
        const original = graph.subarray(field.start, field.end);
        if (field.number !== graphField.initializer) return original;
        const tensor = contentOf(graph, field);
        const value = values.get(rawOf(tensor).name);
        if (value === undefined) return original;
        const kept = readFields(tensor)
          .filter(({ number }) => number !== rawData)
          .map(({ start, end }) => tensor.subarray(start, end));
        return contentField(
          graphField.initializer,
          Buffer.concat([...kept, contentField(rawData, bytesIn(value))]),
        );
      }),
    ),
  );

const floats = (tensor: Tensor | undefined): Float32Array => {
  if (tensor?.data instanceof Float32Array) return tensor.data;
  throw new Error('the adapter lacks a module');
};

/** Adds columns `from`… of (A transposed)·B, B [rank, out], to those of one weight. */
const addTo = (
  weight: Float32Array,
  place: WeightPlace,
  delta: {
    readonly a: Float32Array;
    readonly b: Float32Array;
    readonly inFeatures: number;
    readonly from: number;
  },
): void => {
  const { a, b, inFeatures, from } = delta;
  const rank = a.length / inFeatures;
  const columns = weight.length / inFeatures;
  const outFeatures = b.length / rank;
  for (let row = 0; row < place.count; row += 1) {
    for (let k = 0; k < inFeatures; k += 1) {
      let sum = 0;
      for (let r = 0; r < rank; r += 1) sum += b[r * outFeatures + from + row]! * a[r * inFeatures + k]!;
      const column = place.first + row;
      const at = place.layout === 'kn' ? k * columns + column : column * inFeatures + k;
      weight[at]! += sum / (place.factor ?? 1);
    }
  }
};

/** The graph with an adapter in its weights, by what the fixture says of them. */
export const mergeAdapter = (model: Buffer, about: AboutGraph, adapter: Adapter): Buffer => {
  const stored = weightsOf(model);
  const merged = new Map<string, Float32Array>();
  for (const [module, { in: inFeatures, places }] of Object.entries(about.modules)) {
    const a = floats(adapter.get(inputOf(module, 'A')));
    const b = floats(adapter.get(inputOf(module, 'B')));
    let from = 0;
    for (const place of places) {
      const weight = merged.get(place.weight) ?? floatsIn(stored.get(place.weight)!);
      merged.set(place.weight, weight);
      addTo(weight, place, { a, b, inFeatures, from });
      from += place.count;
    }
  }
  return withWeights(model, merged);
};

/** The values of MatMulNBits' weights as [K, N], by the operator's documentation. */
const dequantise = (node: Node, weights: Weights): Float32Array => {
  const size = (name: string): number => integerAttribute(node, name)!;
  const [k, n, bits, block] = [size('K'), size('N'), size('bits'), size('block_size')];
  const [, packed = '', scales = '', zeroPoints = ''] = node.inputs;
  const blocks = Math.ceil(k / block);
  const codes = weights.get(packed)!;
  const factors = floatsIn(weights.get(scales)!);
  const zeros = weights.get(zeroPoints);
  const code = (bytes: Uint8Array, rowBytes: number, row: number, index: number): number => {
    if (bits === 8) return bytes[row * rowBytes + index]!;
    const byte = bytes[row * rowBytes + (index >> 1)]!;
    return index % 2 === 0 ? byte & 15 : byte >> 4;
  };
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  const values = new Float32Array(k * n);
  for (let row = 0; row < n; row += 1) {
    for (let column = 0; column < k; column += 1) {
      const at = Math.floor(column / block);
      const zero = zeros === undefined ? 2 ** (bits - 1) : code(zeros, zeroBytes, row, at);
      const value = code(codes, (blocks * block * bits) / 8, row, column) - zero;
      values[column * n + row] = value * factors[row * blocks + at]!;
    }
  }
  return values;
};

const floatTensor = (name: string, dims: readonly number[], values: Float32Array): Buffer =>
  Buffer.concat([
    ...dims.map((size) => integerField(tensorField.dims, size)),
    integerField(tensorField.dataType, elementType.float),
    contentField(tensorField.name, name),
    contentField(rawData, bytesIn(values)),
  ]);

/** The graph with a float MatMul, and an Add for its bias, in place of each MatMulNBits. */
export const withFloatWeights = (model: Buffer): Buffer => {
  const graph = readGraph(model);
  const weights = weightsOf(model);
  const tensors: Buffer[] = [];
  const nodes = new Map<Node, readonly Buffer[]>();
  for (const node of graph.nodes.filter(({ opType }) => opType === 'MatMulNBits')) {
    const [x = '', packed = '', , , , bias = ''] = node.inputs;
    const [y = ''] = node.outputs;
    const weight = packed.replace(/_Q[48]$/, '');
    const dims = [integerAttribute(node, 'K')!, integerAttribute(node, 'N')!];
    tensors.push(floatTensor(weight, dims, dequantise(node, weights)));
    const product = bias === '' ? y : `${y}.product`;
    const name = `${node.name}.float`;
    const multiply = { opType: 'MatMul', name, inputs: [x, weight], outputs: [product] };
    const add = { opType: 'Add', name: `${name}.bias`, inputs: [product, bias], outputs: [y] };
    nodes.set(node, (bias === '' ? [multiply] : [multiply, add]).map(nodeMessage));
  }
  const edited = applyEdit(graph, { nodes, newInputs: [], staleShapes: new Set(), outputs: new Map() });
  return editGraph(edited, (content) =>
    Buffer.concat([content, ...tensors.map((tensor) => contentField(graphField.initializer, tensor))]),
  );
};
