import type { AddedBlock, FilePart, Site } from '../../compiled/compile-target.ts';
import { type GraphWithFiles, partOf } from './file-parts.ts';
import { type Graph, type Node, readGraphMessage } from './graph.ts';
import { attributeField, elementType, nodeField } from './schema.ts';
import type { Block, Linear } from './sites.ts';
import { contentOf, readFields } from './wire.ts';

/** What is said of a linear's surroundings in its site. */
type Surroundings = Pick<Site, 'added' | 'inputFactor'>;

/** Nodes by the values that they take, and the values that do not depend on inputs. */
type Uses = {
  readonly of: (value: string) => readonly Node[];
  /** The node that gives a value. */
  readonly from: (value: string) => Node | undefined;
  readonly isConstant: (value: string) => boolean;
  /** Whether something has a value that is no node of the graph: its caller, a branch, or the body of a loop. */
  readonly isUsedElsewhere: (value: string) => boolean;
};

/** Values that the branches of a node, or the body of a loop, name. */
export const namedWithin = (node: Node): readonly string[] =>
  readFields(node.bytes)
    .filter(({ number }) => number === nodeField.attribute)
    .map((field) => contentOf(node.bytes, field))
    .flatMap((attribute) =>
      readFields(attribute)
        .filter(({ number }) => number === attributeField.graph || number === attributeField.graphs)
        .map((field) => readGraphMessage(contentOf(attribute, field))),
    )
    .flatMap(({ nodes, outputs }) => [
      ...outputs,
      ...nodes.flatMap((inner) => [...inner.inputs, ...namedWithin(inner)]),
    ]);

const usesOf = ({ nodes, initializers, outputs }: Graph): Uses => {
  const users = new Map<string, Node[]>();
  const constants = new Set(initializers.keys());
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((value) => [value, node] as const)));
  const within = new Set(nodes.flatMap(namedWithin));
  for (const node of nodes) {
    for (const value of new Set(node.inputs)) {
      const known = users.get(value);
      if (known === undefined) users.set(value, [node]);
      else known.push(node);
    }
    if (node.inputs.every((value) => value === '' || constants.has(value)))
      for (const value of node.outputs) constants.add(value);
  }
  return {
    of: (value) => users.get(value) ?? [],
    from: (value) => makers.get(value),
    isConstant: (value) => constants.has(value),
    isUsedElsewhere: (value) => outputs.includes(value) || within.has(value),
  };
};

/** Where nodes that add a residual take a bias of their own. */
const biasInputs: ReadonlyMap<string, number> = new Map([
  ['SkipLayerNormalization', 4],
  ['SkipSimplifiedLayerNormalization', 3],
]);

/** What follows a product: nothing is added to it, or a constant by a node. Undefined where that cannot be told. */
type Behind = { readonly add?: { readonly node: Node; readonly bias: string } };

const behind = (value: string, columns: number, graph: Graph, uses: Uses): Behind | undefined => {
  if (uses.isUsedElsewhere(value)) return undefined;
  const users = uses.of(value);
  for (const node of users) {
    const others = node.inputs.filter((input) => input !== value && input !== '' && uses.isConstant(input));
    const biasInput = biasInputs.get(node.opType);
    if (biasInput !== undefined && (node.inputs[biasInput] ?? '') === '') continue;
    const [bias] = others;
    if (node.opType === 'Add' && bias !== undefined)
      return users.length === 1 ? { add: { node, bias } } : undefined;
    for (const input of others) {
      const found = graph.initializers.get(input);
      const size = found?.dims.reduce((product, dimension) => product * dimension, 1);
      // Computed, or one value for each column: it may be a bias that the node adds.
      if (found === undefined || (found.dataType === elementType.float && size === columns)) return undefined;
    }
  }
  return {};
};

const addedTo = (
  { node, columns, first, width }: Block,
  of: GraphWithFiles,
  uses: Uses,
): AddedBlock | undefined => {
  const after = behind(node.outputs[0] ?? '', columns, of.graph, uses);
  if (after?.add === undefined) return after === undefined ? undefined : { width };
  const { bias } = after.add;
  const whole = of.graph.initializers.get(bias);
  const part =
    whole?.dims.length === 1 && whole.dims[0] === columns ? partOf(bias, of, elementType.float) : undefined;
  if (part === undefined) return undefined;
  const bytes = Float32Array.BYTES_PER_ELEMENT;
  const values: FilePart = { ...part, offset: part.offset + first * bytes, length: width * bytes };
  return { width, values };
};

/** The value that is the output of a linear which has a node for itself, once a bias is added. */
const outputOf = ({ blocks }: Linear, graph: Graph, uses: Uses): string | undefined => {
  const [block, more] = blocks;
  if (block === undefined || more !== undefined || block.width !== block.columns) return undefined;
  const [product = ''] = block.node.outputs;
  const after = behind(product, block.columns, graph, uses);
  if (after === undefined) return undefined;
  return after.add === undefined ? product : after.add.node.outputs[0];
};

/** Linears by the values that are their outputs, each of which one node takes and nothing else. */
const byOutput = (linears: readonly Linear[], graph: Graph, uses: Uses): ReadonlyMap<string, Linear> =>
  new Map(
    linears.flatMap((linear): readonly [string, Linear][] => {
      const output = outputOf(linear, graph, uses);
      if (output === undefined || uses.isUsedElsewhere(output)) return [];
      return uses.of(output).length === 1 ? [[output, linear]] : [];
    }),
  );

/** The linear whose output is multiplied by something else, feature by feature, to be the input of this one and of nothing else. */
const factorOf = (
  { input, blocks, site }: Linear,
  linears: ReadonlyMap<string, Linear>,
  uses: Uses,
): string | undefined => {
  const own = new Set(blocks.map(({ node }) => node));
  if (uses.isUsedElsewhere(input) || !uses.of(input).every((node) => own.has(node))) return undefined;
  const product = uses.from(input);
  if (product?.opType !== 'Mul' || product.inputs[0] === product.inputs[1]) return undefined;
  const factors = product.inputs.map((value) => linears.get(value)?.site);
  return factors.find((other) => other?.outFeatures === site.inFeatures)?.module;
};

/** What is added behind the products of linears, and what their inputs are made of: as far as it can be told for sure. */
export const surroundingsOf = (
  linears: readonly Linear[],
  of: GraphWithFiles,
): ((linear: Linear) => Surroundings) => {
  const uses = usesOf(of.graph);
  const outputs = byOutput(linears, of.graph, uses);
  return (linear) => {
    const added = linear.blocks.map((block) => addedTo(block, of, uses));
    const known = added.filter((block) => block !== undefined);
    const inputFactor = factorOf(linear, outputs, uses);
    return {
      ...(known.length === added.length ? { added: known } : {}),
      ...(inputFactor === undefined ? {} : { inputFactor }),
    };
  };
};
