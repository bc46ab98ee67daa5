import type { FilePart, Site, StoredWeights, WeightBlock } from '../../compiled/compile-target.ts';
import type { Family } from './families.ts';
import { type GraphFiles, type GraphWithFiles, partOf } from './file-parts.ts';
import { type Graph, integerAttribute, type Node } from './graph.ts';
import { elementType } from './schema.ts';
import { type Block, type Linear, linearsOf } from './sites.ts';
import { surroundingsOf } from './surroundings.ts';

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

const storedOf = ({ node }: Block, of: GraphWithFiles): StoredWeights | undefined => {
  const part = (name: string, type: number): FilePart | undefined => partOf(name, of, type);
  if (node.opType === 'MatMulNBits') return quantised(node, part);
  // A Gemm adds its bias to the product before anything can be scaled.
  if (node.opType !== 'MatMul') return undefined;
  const values = part(node.inputs[1] ?? '', elementType.float);
  return values === undefined ? undefined : { kind: 'columns', values };
};

const withWeights = ({ site, blocks }: Linear, of: GraphWithFiles): Site => {
  const weights: WeightBlock[] = [];
  for (const block of blocks) {
    const stored = storedOf(block, of);
    if (stored === undefined) return site;
    weights.push({ stored, columns: block.columns, first: block.first, width: block.width });
  }
  return { ...site, weights };
};

/**
 * The linears that LoRA can reach, each with where its weights are, as far as they can be read, and what is around it.
 * @throws MODEL_UNSUPPORTED, MODEL_INVALID
 */
export const sitesWithWeights = (graph: Graph, family: Family, files: GraphFiles): readonly Site[] => {
  const linears = linearsOf(graph, family);
  const around = surroundingsOf(linears, { graph, files });
  return linears.map((linear) => ({ ...withWeights(linear, { graph, files }), ...around(linear) }));
};
