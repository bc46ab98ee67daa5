import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../../compiled/compile-target.ts';
import { type Family, type Part, placeOf } from './families.ts';
import type { Graph, Node } from './graph.ts';
import { checkForm, type Features, featuresOf } from './linear.ts';

/** Columns of a node's output, `columns` of which it has in all. */
export type Block = {
  readonly node: Node;
  readonly columns: number;
  readonly first: number;
  readonly width: number;
};

/**
 * A module of PEFT and the columns that it computes: those of one node, some of a fused node's, or those of several
 * nodes. The blocks are in the order of the module's output features.
 */
export type Linear = { readonly site: Site; readonly input: string; readonly blocks: readonly Block[] };

/** A node with the linears that it computes. */
type Found = { readonly node: Node; readonly parts: readonly Part[] } & Features;
/** The node of each part of one layer. */
type Layer = Map<Part, Found>;

const unsupported = (what: string): AdaptletError => new AdaptletError('MODEL_UNSUPPORTED', what);

const findLayers = (graph: Graph, family: Family): ReadonlyMap<number, Layer> => {
  const layers = new Map<number, Layer>();
  for (const node of graph.nodes) {
    const place = placeOf(family, node.name);
    const features = place === undefined ? undefined : featuresOf(graph, node);
    if (place === undefined || features === undefined) continue;
    const layer: Layer = layers.get(place.layer) ?? new Map();
    layers.set(place.layer, layer);
    for (const part of place.parts) {
      const before = layer.get(part);
      if (before !== undefined) {
        throw unsupported(
          `The graph has ${part} of layer ${place.layer} twice, in ${before.node.name} and ${node.name}`,
        );
      }
      layer.set(part, { node, parts: place.parts, ...features });
    }
  }
  return layers;
};

/** Widths of the parts of a fused node: of some from the layer's other linears, the rest in equal shares. */
const widthsOf = (found: Found, layer: Layer, family: Family): readonly number[] => {
  const { parts, outFeatures, node } = found;
  if (parts.length === 1) return [outFeatures];
  const known = parts.map((part) => layer.get(family.widthIsInputOf[part] ?? '')?.inFeatures);
  const sum = known.reduce<number>((total, width) => total + (width ?? 0), 0);
  const open = known.filter((width) => width === undefined).length;
  const share = open === 0 ? 0 : (outFeatures - sum) / open;
  const widths = known.map((width) => width ?? share);
  const fits = widths.every((width) => Number.isInteger(width) && width > 0);
  const total = widths.reduce((all, width) => all + width, 0);
  // Heads of queries share those of keys and values evenly.
  const even = widths.every((width) => (widths[0] ?? 0) % width === 0);
  if (fits && even && total === outFeatures) return widths;
  throw unsupported(
    `Node ${node.name} has ${outFeatures} columns; ${parts.join(', ')} would take ${widths.join(' + ')}`,
  );
};

const blockOf = (part: Part, found: Found, layer: Layer, family: Family): Block => {
  const widths = widthsOf(found, layer, family);
  const index = found.parts.indexOf(part);
  const first = widths.slice(0, index).reduce((all, width) => all + width, 0);
  return { node: found.node, columns: found.outFeatures, first, width: widths[index] ?? 0 };
};

/** Blocks that lie side by side in one node are one. */
const join = (blocks: readonly Block[]): readonly Block[] => {
  const joined: Block[] = [];
  for (const block of blocks) {
    const last = joined.at(-1);
    if (last?.node === block.node && last.first + last.width === block.first) {
      joined[joined.length - 1] = { ...last, width: last.width + block.width };
    } else joined.push(block);
  }
  return joined;
};

const wholeOf = ({ node, outFeatures }: Found): Block => ({
  node,
  columns: outFeatures,
  first: 0,
  width: outFeatures,
});

const linearOf = (module: string, found: readonly Found[], blocks: readonly Block[]): Linear => {
  const [{ inFeatures, node } = { inFeatures: 0, node: undefined }] = found;
  const input = node?.inputs[0] ?? '';
  const other = found.find((one) => one.inFeatures !== inFeatures || one.node.inputs[0] !== input);
  if (other !== undefined) {
    throw unsupported(
      `${module} has no one input: ${node?.name ?? ''} takes ${input}, ${other.node.name} takes ${other.node.inputs[0] ?? ''}`,
    );
  }
  const outFeatures = blocks.reduce((all, { width }) => all + width, 0);
  return { site: { module, inFeatures, outFeatures }, input, blocks };
};

const samePart = (a: readonly Part[], b: readonly Part[]): boolean => a.join() === b.join();

const linearsOfLayer = (index: number, layer: Layer, family: Family): readonly Linear[] =>
  Object.entries(family.modules).map(([name, parts]) => {
    const module = `${family.layers}.${index}.${name}`;
    const found = parts.map((part) => layer.get(part)).filter((one) => one !== undefined);
    const [only] = found;
    // The same parts in node and module: all columns, however they are divided.
    if (only !== undefined && samePart(only.parts, parts)) {
      return linearOf(module, [only], [wholeOf(only)]);
    }
    const blocks = found.map((one, at) => blockOf(parts[at] ?? '', one, layer, family));
    return linearOf(module, found, join(blocks));
  });

const checkComplete = (graph: Graph, family: Family, layers: ReadonlyMap<number, Layer>): void => {
  if (layers.size === 0) {
    const names = graph.nodes
      .filter((node) => featuresOf(graph, node) !== undefined)
      .map((node) => node.name);
    throw unsupported(
      `No node of the graph maps to a linear of the family ${family.name}; its linears are ${names.slice(0, 20).join(', ') || 'none'}`,
    );
  }
  for (let index = 0; index < layers.size; index += 1) {
    const layer = layers.get(index);
    const missing = Object.entries(family.modules)
      .filter(([, parts]) => !parts.every((part) => layer?.has(part) === true))
      .map(([name]) => name);
    if (missing.length === 0) continue;
    const exists = new Set([...(layer?.values() ?? [])].map(({ node }) => node.name));
    throw unsupported(
      `Layer ${index} of the graph lacks ${missing.join(', ')}; it has ${[...exists].join(', ') || 'nothing'}`,
    );
  }
};

const otherLinears = (graph: Graph, family: Family): readonly Linear[] =>
  family.others.flatMap(({ node: name, module }) => {
    const found = graph.nodes.flatMap((node) => {
      const features = name.test(node.name) ? featuresOf(graph, node) : undefined;
      return features === undefined ? [] : [{ node, parts: [], ...features }];
    });
    if (found.length > 1) throw unsupported(`The graph has ${module} ${found.length} times`);
    return found.map((one) => linearOf(module, [one], [wholeOf(one)]));
  });

/**
 * The modules that LoRA can reach, layer by layer, each with the nodes that compute it.
 * @throws MODEL_UNSUPPORTED when a linear of the family is missing, double or not of a form that can be extended; the
 * message lists what exists
 */
export const linearsOf = (graph: Graph, family: Family): readonly Linear[] => {
  const layers = findLayers(graph, family);
  checkComplete(graph, family, layers);
  const inOrder = [...layers].sort(([a], [b]) => a - b);
  const linears = [
    ...inOrder.flatMap(([index, layer]) => linearsOfLayer(index, layer, family)),
    ...otherLinears(graph, family),
  ];
  for (const { blocks } of linears) for (const { node } of blocks) checkForm(graph, node);
  return linears;
};
