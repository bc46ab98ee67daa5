import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../engine.ts';
import type { Family } from './families.ts';
import { applyEdit, type Graph, type Node, readGraph } from './graph.ts';
import { linearsOf } from './linear.ts';
import { nodeMessage, renameFirst, valueInfoMessage } from './messages.ts';
import { elementType, microsoftDomain } from './schema.ts';

/** Names of the graph inputs that take one half of an adapter's pair. */
export const inputOf = (module: string, half: 'A' | 'B'): string => `lora.${module}.${half}`;

/**
 * Refuses a model that already has LoRA tensors as overridable initializers (Olive's `optional_inputs`): ONNX
 * Runtime's Node binding ignores what is fed for those, so such a model would answer as the base.
 */
export const refuseOverridableLora = (graph: Graph): void => {
  const found = graph.inputs.filter((name) => graph.initializers.has(name) && /lora/i.test(name));
  if (found.length === 0) return;
  throw new AdaptletError(
    'MODEL_UNSUPPORTED',
    `The graph has LoRA tensors of its own as overridable initializers: ${found.slice(0, 3).join(', ')} and ${Math.max(0, found.length - 3)} more`,
  );
};

/**
 * The linears that {@link inject} would extend, without writing a graph. Errors: MODEL_INVALID, MODEL_UNSUPPORTED.
 */
export const sitesOf = (graph: Graph, family: Family): readonly Site[] => {
  refuseOverridableLora(graph);
  return linearsOf(graph, family).map(({ site }) => site);
};

/**
 * Adds LoRA to each linear of the family: y = linear(x) + (x·Aᵀ)·Bᵀ, A [rank, in] and B [out, rank] as PEFT has
 * them, alpha/rank already in B, both as plain required inputs. Rank 0 gives exact zeros.
 *
 * Each linear has its own symbolic rank: with a shared symbol ONNX Runtime's memory planner re-uses buffers
 * between linears and fails when an adapter mixes ranks.
 *
 * Errors: MODEL_INVALID, MODEL_UNSUPPORTED.
 */
export const inject = (
  model: Buffer,
  family: Family,
): { readonly model: Buffer; readonly sites: readonly Site[] } => {
  const graph = readGraph(model);
  refuseOverridableLora(graph);
  const linears = linearsOf(graph, family);
  const nodes = new Map<Node, readonly Buffer[]>();
  const newInputs: Buffer[] = [];
  for (const { node, site } of linears) {
    const a = inputOf(site.module, 'A');
    const b = inputOf(site.module, 'B');
    const rank = `rank.${site.module}`;
    newInputs.push(valueInfoMessage(a, elementType.float, [rank, site.inFeatures]));
    newInputs.push(valueInfoMessage(b, elementType.float, [site.outFeatures, rank]));
    nodes.set(node, withLora(node, site.module, a, b));
  }
  const edited = applyEdit(graph, { nodes, newInputs, staleShapes: new Set(), outputs: new Map() });
  return { model: edited, sites: linears.map(({ site }) => site) };
};

const withLora = (node: Node, module: string, a: string, b: string): readonly Buffer[] => {
  const [x = ''] = node.inputs;
  const [y = ''] = node.outputs;
  const base = `${y}.base`;
  const low = `${y}.low_rank`;
  const delta = `${y}.delta`;
  const fused = { opType: 'FusedMatMul', domain: microsoftDomain, attributes: { transB: 1 } };
  return [
    renameFirst(node, 'output', base),
    nodeMessage({ ...fused, name: `lora.${module}.down`, inputs: [x, a], outputs: [low] }),
    nodeMessage({ ...fused, name: `lora.${module}.up`, inputs: [low, b], outputs: [delta] }),
    nodeMessage({ opType: 'Add', name: `lora.${module}.add`, inputs: [base, delta], outputs: [y] }),
  ];
};
