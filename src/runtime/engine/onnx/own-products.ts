import { externalBytes } from './external-weights.ts';
import { applyEdit, type Graph, integerAttribute, type Node, readGraph } from './graph.ts';
import { nodeMessage, renameInput, renameOutput, valueInfoMessage } from './messages.ts';
import {
  elementType,
  graphField,
  microsoftDomain,
  modelField,
  operatorDomain,
  opsetField,
} from './schema.ts';
import { namedWithin } from './surroundings.ts';
import { contentField, integerField } from './wire.ts';

/** A linear that the native operator can compute: a node, and its weights. */
export type Product = {
  readonly node: Node;
  /** Names of its weights: nodes that share them share what is packed. */
  readonly key: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bits: 4 | 8;
  /** Values of a column that have one scale. */
  readonly block: number;
  readonly values: string;
  readonly scales: string;
  /** Absent: zero is the middle. */
  readonly zeros?: string;
};

/** Of the operator: what has wider blocks is packed as several of them with one scale. */
const ownBlock = 32;
/** The level of MatMulNBits that rounds activations to 8 bits, as the operator does. */
const roundedLevel = 4;
/** x, and its weights; behind them are an order of groups and a bias. */
const takenInputs = 4;

const productOf = (graph: Graph, node: Node): Product | undefined => {
  if (node.opType !== 'MatMulNBits' || node.domain !== microsoftDomain || node.outputs.length !== 1)
    return undefined;
  const integer = (name: string): number => integerAttribute(node, name) ?? 0;
  const bits = integerAttribute(node, 'bits') ?? 4;
  const [, values = '', scales = '', zeros = ''] = node.inputs;
  const [inFeatures, outFeatures, block] = [integer('K'), integer('N'), integer('block_size')];
  if (block < ownBlock || block % ownBlock !== 0 || integer('accuracy_level') !== roundedLevel)
    return undefined;
  if ((bits !== 4 && bits !== 8) || inFeatures < 1 || outFeatures < 1) return undefined;
  if (node.inputs.slice(takenInputs).some((name) => name !== '')) return undefined;
  const blocks = Math.ceil(inFeatures / block);
  const has = (name: string, type: number, size: number): boolean => {
    const found = graph.initializers.get(name);
    return (
      found?.location !== undefined &&
      // A caller may give others.
      !graph.inputs.includes(name) &&
      found.dataType === type &&
      found.dims.reduce((product, each) => product * each, 1) === size
    );
  };
  const fits =
    has(values, elementType.uint8, (outFeatures * blocks * block * bits) / 8) &&
    has(scales, elementType.float, outFeatures * blocks) &&
    (zeros === '' || has(zeros, elementType.uint8, outFeatures * Math.ceil((blocks * bits) / 8)));
  if (!fits) return undefined;
  const key = [values, scales, zeros].join('\n');
  return {
    node,
    key,
    inFeatures,
    outFeatures,
    bits,
    block,
    values,
    scales,
    ...(zeros === '' ? {} : { zeros }),
  };
};

/** The linears of a graph that the operator `adaptlet.MatMulNBits` can compute (native/linear.c). */
export const productsOf = (graph: Graph): readonly Product[] =>
  graph.nodes.flatMap((node) => productOf(graph, node) ?? []);

/** Of a scale and a zero point. */
const scaleBytes = 5;

/** Bytes of a linear in blocks of so many values. */
const bytesInBlocks = ({ inFeatures, outFeatures, bits }: Product, block: number): number =>
  outFeatures * Math.ceil(inFeatures / block) * ((block * bits) / 8 + scaleBytes);

/**
 * Bytes by which the linears of a graph grow as they are packed: those in wide blocks get a scale for each block of the operator, and
 * lose what a last block was padded with. Less than 0: they shrink.
 */
export const growthOfProducts = (graph: Graph): number =>
  productsOf(graph).reduce(
    (sum, product) => sum + bytesInBlocks(product, ownBlock) - bytesInBlocks(product, product.block),
    0,
  );

/** True where a graph has linears in int4 or int8, and the native operator computes all of them. */
export const hasOwnProducts = ({ nodes }: Graph): boolean => {
  const linears = nodes.filter(({ opType }) => opType === 'MatMulNBits');
  return linears.length > 0 && linears.every(({ domain }) => domain === operatorDomain);
};

/** What is packed of a product: an initialiser of the graph. */
export type PackedWeights = { readonly name: string; readonly length: number };

/** What the operator takes in a graph. */
export type OwnProducts = {
  /** By the keys of products. */
  readonly packed: ReadonlyMap<string, PackedWeights>;
  /** A file that is there, as the graph names it; nothing is read of it. */
  readonly location: string;
  /** The instruction set that multiplies. */
  readonly level: string;
};

/** Of linears that share their x. */
const ownNode = (
  products: readonly Product[],
  { packed, level }: OwnProducts,
  { name, outputs }: { readonly name: string; readonly outputs: readonly string[] },
): Buffer =>
  nodeMessage({
    opType: 'MatMulNBits',
    domain: operatorDomain,
    name,
    inputs: [products[0]?.node.inputs[0] ?? '', ...products.map(({ key }) => packed.get(key)?.name ?? '')],
    outputs,
    attributes: {
      K: products[0]?.inFeatures ?? 0,
      N: products.map(({ outFeatures }) => outFeatures),
      bits: products.map(({ bits }) => bits),
      accuracy_level: roundedLevel,
      level,
    },
  });

/** Linears of one node: `maxLinears` of native/linear.c. */
export const mostTogether = 8;

/** Linears that share their x, in the order of the graph. */
const together = (products: readonly Product[]): readonly (readonly Product[])[] => {
  const groups = new Map<string, Product[]>();
  const all: Product[][] = [];
  for (const product of products) {
    const key = `${product.inFeatures} ${product.node.inputs[0] ?? ''}`;
    const group = groups.get(key);
    if (group !== undefined && group.length < mostTogether) group.push(product);
    else {
      const begun = [product];
      groups.set(key, begun);
      all.push(begun);
    }
  }
  return all;
};

const packedTensor = ({ name, length }: PackedWeights, location: string): Buffer =>
  externalBytes(name, length, { location, offset: 0 });

/**
 * The graph with the operator in place of each node whose weights are packed. Nodes that share their x become one, where the first of
 * them was. Weights that nothing else takes go.
 */
export const withOwnProducts = (model: Buffer, own: OwnProducts): Buffer => {
  const { packed, location } = own;
  const graph = readGraph(model);
  const products = productsOf(graph).filter(({ key }) => packed.has(key));
  const linears = new Set(products.map(({ node }) => node));
  const used = new Set([
    ...graph.outputs,
    ...graph.nodes.flatMap((node) => (linears.has(node) ? node.inputs.slice(0, 1) : node.inputs)),
    ...graph.nodes.flatMap(namedWithin),
  ]);
  const weights = products.flatMap(({ node }) => node.inputs.slice(1)).filter((name) => !used.has(name));
  return applyEdit(graph, {
    nodes: new Map(
      together(products).flatMap((group) =>
        group.map(({ node }, at): [Node, readonly Buffer[]] => {
          if (at > 0) return [node, []];
          const outputs = group.map((each) => each.node.outputs[0] ?? '');
          return [node, [ownNode(group, own, { name: node.name, outputs })]];
        }),
      ),
    ),
    newInputs: [],
    newInitializers: [...packed.values()].map((each) => packedTensor(each, location)),
    goneInitializers: new Set(weights),
    staleShapes: new Set(),
    outputs: new Map(),
    shapes: new Map(),
    domains: [operatorDomain],
  });
};

/** Of ONNX, as ONNX Runtime's and the native operator's nodes need it. */
const irVersion = 8;
const onnxOpset = 17;

const opset = (domain: string, version: number): Buffer =>
  contentField(
    modelField.opsetImport,
    Buffer.concat([contentField(opsetField.domain, domain), integerField(opsetField.version, version)]),
  );

const tokensOf = (name: string, columns: number): Buffer =>
  valueInfoMessage(name, elementType.float, ['tokens', columns]);

/** A graph that has a product of `graph` twice: of x, `theirs` is ONNX Runtime's and `ours` the operator's. */
export const comparisonOf = (
  product: Product,
  { graph, ...own }: OwnProducts & { readonly graph: Graph },
): Buffer => {
  const { packed, location } = own;
  const { node, key, inFeatures, outFeatures } = product;
  const weights = node.inputs.slice(1).filter((name) => name !== '');
  const x = (changed: Buffer): Buffer => renameInput({ ...node, bytes: changed }, node.inputs[0] ?? '', 'x');
  const tensors = [
    ...weights.flatMap((name) => graph.initializers.get(name)?.bytes ?? []),
    packedTensor(packed.get(key) ?? { name: '', length: 0 }, location),
  ];
  const content = Buffer.concat([
    contentField(graphField.node, x(renameOutput(node, 'theirs'))),
    contentField(graphField.node, x(ownNode([product], own, { name: 'ours', outputs: ['ours'] }))),
    contentField(graphField.name, 'products'),
    ...tensors.map((tensor) => contentField(graphField.initializer, tensor)),
    contentField(graphField.input, tokensOf('x', inFeatures)),
    ...['theirs', 'ours'].map((name) => contentField(graphField.output, tokensOf(name, outFeatures))),
  ]);
  return Buffer.concat([
    integerField(modelField.irVersion, irVersion),
    contentField(modelField.graph, content),
    opset('', onnxOpset),
    opset(microsoftDomain, 1),
    opset(operatorDomain, 1),
  ]);
};
