import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../engine.ts';
import { type Family, linearOfNode, moduleName } from './families.ts';
import { type Graph, integerAttribute, type Node } from './graph.ts';
import { elementType } from './schema.ts';

/** A node that computes a linear, and what PEFT calls it. */
export type Linear = { readonly node: Node; readonly site: Site };

const unsupported = (what: string): AdaptletError => new AdaptletError('MODEL_UNSUPPORTED', what);

/** Features in and out of a MatMul, Gemm or MatMulNBits with constant weights; undefined for any other node. */
export const featuresOf = (
  graph: Graph,
  node: Node,
): { readonly inFeatures: number; readonly outFeatures: number } | undefined => {
  if (node.opType === 'MatMulNBits') {
    const inFeatures = integerAttribute(node, 'K');
    const outFeatures = integerAttribute(node, 'N');
    return inFeatures === undefined || outFeatures === undefined ? undefined : { inFeatures, outFeatures };
  }
  if (node.opType !== 'MatMul' && node.opType !== 'Gemm') return undefined;
  const weight = graph.initializers.get(node.inputs[1] ?? '');
  const [rows, columns, ...more] = weight?.dims ?? [];
  if (rows === undefined || columns === undefined || more.length > 0) return undefined;
  if (node.opType === 'MatMul') return { inFeatures: rows, outFeatures: columns };
  if ((integerAttribute(node, 'transA') ?? 0) !== 0) return undefined;
  return (integerAttribute(node, 'transB') ?? 0) === 0
    ? { inFeatures: rows, outFeatures: columns }
    : { inFeatures: columns, outFeatures: rows };
};

const checkForm = (graph: Graph, node: Node): void => {
  if (node.outputs.length !== 1) throw unsupported(`Node ${node.name} has ${node.outputs.length} outputs`);
  const values = graph.initializers.get(node.inputs[node.opType === 'MatMulNBits' ? 2 : 1] ?? '');
  if (values !== undefined && values.dataType !== elementType.float) {
    throw unsupported(`Node ${node.name} computes in element type ${values.dataType}, not in float32`);
  }
  if (node.opType !== 'MatMulNBits') return;
  const bits = integerAttribute(node, 'bits') ?? 4;
  if (bits !== 4 && bits !== 8)
    throw unsupported(`Node ${node.name} has weights of ${bits} bits, not 4 or 8`);
  const used = node.inputs.filter((input) => input !== '').length;
  if (used !== 3 && used !== 4) throw unsupported(`Node ${node.name} has ${used} inputs, not 3 or 4`);
};

/**
 * The linears of a graph that LoRA can reach, in graph order.
 *
 * Errors: MODEL_UNSUPPORTED when a linear of the family is missing, double or not of a form that can be extended;
 * the message lists what exists.
 */
export const linearsOf = (graph: Graph, family: Family): readonly Linear[] => {
  const linears: Linear[] = [];
  const found = new Map<number, Set<string>>();
  for (const node of graph.nodes) {
    const name = linearOfNode(node.name);
    if (name === undefined) continue;
    const features = featuresOf(graph, node);
    if (features === undefined) continue;
    const layer = found.get(name.layer) ?? new Set<string>();
    found.set(name.layer, layer);
    if (layer.has(name.linear))
      throw unsupported(`The graph has ${moduleName(name)} twice, again in ${node.name}`);
    layer.add(name.linear);
    if (!family.linears.includes(name.linear)) continue;
    checkForm(graph, node);
    linears.push({ node, site: { module: moduleName(name), ...features } });
  }
  checkComplete(graph, family, found);
  return linears;
};

const checkComplete = (
  graph: Graph,
  family: Family,
  found: ReadonlyMap<number, ReadonlySet<string>>,
): void => {
  if (found.size === 0) {
    const names = graph.nodes
      .filter((node) => featuresOf(graph, node) !== undefined)
      .map((node) => node.name);
    throw unsupported(
      `No node of the graph maps to a linear of the family ${family.name}; its linears are ${names.slice(0, 20).join(', ') || 'none'}`,
    );
  }
  for (let layer = 0; layer < found.size; layer += 1) {
    const there = found.get(layer);
    const missing = family.linears.filter((linear) => there?.has(linear) !== true);
    if (missing.length === 0) continue;
    const exists = [...(there ?? [])].join(', ') || 'nothing';
    throw unsupported(`Layer ${layer} of the graph lacks ${missing.join(', ')}; it has ${exists}`);
  }
};
