import type { Site } from '../../compiled/compile-target.ts';
import type { Family } from './families.ts';
import { applyEdit, type Graph, inputShape, type Node, readGraph } from './graph.ts';
import { refuseOverridableLora, shapesOfSums } from './inject.ts';
import { nodeMessage, renameOutput, valueInfoMessage } from './messages.ts';
import { elementType, operatorDomain } from './schema.ts';
import { type Linear, linearsOf } from './sites.ts';

/** The graph input that says which adapter each row has: [rows] int64, addresses of tables (`adapters/lora-tables.ts`) or 0. */
export const adaptersInput = 'lora.adapters';

/** Linears of one input, in one operator; with the places of their sites in the tables. */
type Group = { readonly linears: readonly Linear[]; readonly places: readonly number[] };

const groupsOf = (linears: readonly Linear[]): readonly Group[] => {
  const placed = linears.map((linear, place) => ({ linear, place }));
  return [...Map.groupBy(placed, ({ linear }) => linear.input).values()].map((group) => ({
    linears: group.map(({ linear }) => linear),
    places: group.map(({ place }) => place),
  }));
};

const baseSuffix = '.base';
const baseOf = (y: string): string => `${y}${baseSuffix}`;

/** The operator that adds to all nodes of a group: see native/lora.c. */
const groupNode = ({ linears, places }: Group, nodes: readonly Node[]): Buffer => {
  const [one] = linears;
  const outputs = nodes.map(({ outputs: [y = ''] }) => y);
  const blocks = linears.flatMap((linear, at) => {
    let first = 0;
    return linear.blocks.flatMap(({ node, columns, first: column, width }) => {
      const from = first;
      first += width;
      return [at, nodes.indexOf(node), columns, column, from, width];
    });
  });
  return nodeMessage({
    opType: 'Lora',
    name: `lora.${one?.site.module ?? ''}`,
    domain: operatorDomain,
    inputs: [one?.input ?? '', adaptersInput, ...outputs.map(baseOf)],
    outputs,
    attributes: {
      // Each linear: its place in the tables, features in, features out.
      sites: linears.flatMap(({ site }, at) => [places[at] ?? 0, site.inFeatures, site.outFeatures]),
      blocks,
    },
  });
};

/** What takes the place of each node that computes a linear: itself under another name and, after the last of a group, the operator. */
const editsOf = (graph: Graph, groups: readonly Group[]): ReadonlyMap<Node, readonly Buffer[]> => {
  const edits = new Map<Node, readonly Buffer[]>();
  for (const group of groups) {
    const touched = new Set(group.linears.flatMap(({ blocks }) => blocks.map(({ node }) => node)));
    const nodes = graph.nodes.filter((node) => touched.has(node));
    for (const node of nodes) edits.set(node, [renameOutput(node, baseOf(node.outputs[0] ?? ''))]);
    const last = nodes.at(-1);
    if (last !== undefined) edits.set(last, [...(edits.get(last) ?? []), groupNode(group, nodes)]);
  }
  return edits;
};

/**
 * Adds LoRA to each module of the family by the native operator: as {@link inject} does, but with one input that has an adapter for
 * each row, whose weights are read where they are.
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED
 */
export const injectOperator = (
  model: Buffer,
  family: Family,
): { readonly model: Buffer; readonly sites: readonly Site[] } => {
  const graph = readGraph(model);
  refuseOverridableLora(graph);
  const linears = linearsOf(graph, family);
  const [rows = 'batch'] = inputShape(graph, 'input_ids') ?? [];
  const edited = applyEdit(graph, {
    nodes: editsOf(graph, groupsOf(linears)),
    newInputs: [valueInfoMessage(adaptersInput, elementType.int64, [rows])],
    staleShapes: new Set(),
    outputs: new Map(),
    shapes: shapesOfSums(graph, linears, ['', baseSuffix]),
    domains: [operatorDomain],
  });
  return { model: edited, sites: linears.map(({ site }) => site) };
};
