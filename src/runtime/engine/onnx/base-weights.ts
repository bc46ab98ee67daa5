import { resolve } from 'node:path';
import type { FilePart, Site, StoredWeights, WeightBlock } from '../../compiled/compile-target.ts';
import { externalPlaceOf } from './external-weights.ts';
import type { Family } from './families.ts';
import { type Graph, type Initializer, integerAttribute, type Node } from './graph.ts';
import { elementType, tensorField } from './schema.ts';
import { type Block, type Linear, linearsOf } from './sites.ts';
import { readFields } from './wire.ts';

/** Where the files of a graph are. */
export type GraphFiles = {
  /** Path of a file that the graph names. */
  readonly pathOf: (location: string) => string;
  /** The file that has the graph, byte for byte; absent where none has. */
  readonly graph?: string;
};

const bytesOf = new Map<number, number>([
  [elementType.float, 4],
  [elementType.uint8, 1],
]);

/** Where the values of an initialiser of this type are; undefined where no file has them, or where they are of another type. */
const partOf = (
  name: string,
  { graph, files }: { readonly graph: Graph; readonly files: GraphFiles },
  type: number,
): FilePart | undefined => {
  const found = graph.initializers.get(name);
  if (found === undefined || found.dataType !== type) return undefined;
  const length = found.dims.reduce((product, size) => product * size, bytesOf.get(type) ?? 0);
  const place = found.location === undefined ? inline(found, graph, files) : external(name, found, files);
  return place === undefined || (place.length ?? length) !== length
    ? undefined
    : { path: resolve(place.path), offset: place.offset, length };
};

type PathAndPlace = { readonly path: string; readonly offset: number; readonly length?: number };

const external = (name: string, { bytes }: Initializer, { pathOf }: GraphFiles): PathAndPlace => {
  const { location, ...place } = externalPlaceOf(name, bytes);
  return { path: pathOf(location), ...place };
};

const inline = (
  { bytes }: Initializer,
  { model }: Graph,
  { graph: path }: GraphFiles,
): PathAndPlace | undefined => {
  const values = readFields(bytes).find(({ number }) => number === tensorField.rawData);
  if (path === undefined || values === undefined || bytes.buffer !== model.buffer) return undefined;
  const offset = bytes.byteOffset - model.byteOffset + values.valueStart;
  return { path, offset, length: values.end - values.valueStart };
};

/** Inputs of MatMulNBits that change what its values stand for, or that are added to its product. */
const groupOrder = 4;
const addedBias = 5;

const quantised = (
  node: Node,
  part: (name: string, type: number) => FilePart | undefined,
): StoredWeights | undefined => {
  const [, valuesName = '', scalesName = '', zerosName = ''] = node.inputs;
  if ((node.inputs[groupOrder] ?? '') !== '' || (node.inputs[addedBias] ?? '') !== '') return undefined;
  const values = part(valuesName, elementType.uint8);
  const scales = part(scalesName, elementType.float);
  const zeros = zerosName === '' ? undefined : part(zerosName, elementType.uint8);
  const bits = integerAttribute(node, 'bits') ?? 4;
  const block = integerAttribute(node, 'block_size') ?? 0;
  const [inFeatures, rows] = [integerAttribute(node, 'K') ?? 0, integerAttribute(node, 'N') ?? 0];
  const blocks = Math.ceil(inFeatures / block);
  const fits =
    values?.length === (rows * blocks * block * bits) / 8 &&
    scales?.length === rows * blocks * 4 &&
    (zerosName === '' || zeros?.length === rows * Math.ceil((blocks * bits) / 8));
  if (!fits || values === undefined || scales === undefined || (bits !== 4 && bits !== 8)) return undefined;
  return { kind: 'blocks', bits, block, values, scales, ...(zeros === undefined ? {} : { zeros }) };
};

const storedOf = (
  { node }: Block,
  of: { readonly graph: Graph; readonly files: GraphFiles },
): StoredWeights | undefined => {
  const part = (name: string, type: number): FilePart | undefined => partOf(name, of, type);
  if (node.opType === 'MatMulNBits') return quantised(node, part);
  // A Gemm adds its bias to the product before anything can be scaled.
  if (node.opType !== 'MatMul') return undefined;
  const values = part(node.inputs[1] ?? '', elementType.float);
  return values === undefined ? undefined : { kind: 'columns', values };
};

const withWeights = (
  { site, blocks }: Linear,
  of: { readonly graph: Graph; readonly files: GraphFiles },
): Site => {
  const weights: WeightBlock[] = [];
  for (const block of blocks) {
    const stored = storedOf(block, of);
    if (stored === undefined) return site;
    weights.push({ stored, columns: block.columns, first: block.first, width: block.width });
  }
  return { ...site, weights };
};

/**
 * The linears that LoRA can reach, each with where its weights are, as far as they can be read.
 * @throws MODEL_UNSUPPORTED, MODEL_INVALID
 */
export const sitesWithWeights = (graph: Graph, family: Family, files: GraphFiles): readonly Site[] =>
  linearsOf(graph, family).map((linear) => withWeights(linear, { graph, files }));
