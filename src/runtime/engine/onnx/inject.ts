import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../../compiled/compile-target.ts';
import type { Family } from './families.ts';
import { applyEdit, type Graph, inputShape, readGraph } from './graph.ts';
import { inputOf, loraNodes } from './lora-nodes.ts';
import { valueInfoMessage } from './messages.ts';
import { elementType } from './schema.ts';
import { type Linear, linearsOf } from './sites.ts';

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
    { advice: 'Export the base model without LoRA inputs.' },
  );
};

/**
 * The linears that {@link inject} would extend, without writing a graph.
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED
 */
export const sitesOf = (graph: Graph, family: Family): readonly Site[] => {
  refuseOverridableLora(graph);
  return linearsOf(graph, family).map(({ site }) => site);
};

/**
 * Shapes of the sums, which ONNX Runtime cannot infer from inputs without one. Optimisers look at them, and attention
 * takes a query without a known shape for queries, keys and values in one. `suffixes`: of what is computed for each besides.
 */
export const shapesOfSums = (
  graph: Graph,
  linears: readonly Linear[],
  suffixes: readonly string[] = [''],
): ReadonlyMap<string, Buffer> => {
  // Optimisers compare symbols: these are the ones that everything computed from the tokens has.
  const [batch = 'batch', sequence = 'sequence'] = inputShape(graph, 'input_ids') ?? [];
  return new Map(
    linears
      .flatMap(({ blocks }) => blocks)
      .flatMap(({ node, columns }) => {
        const [y = ''] = node.outputs;
        const rows = node.opType === 'Gemm' ? [`${y}.rows`] : [batch, sequence];
        return suffixes.map((suffix): [string, Buffer] => {
          const name = `${y}${suffix}`;
          return [name, valueInfoMessage(name, elementType.float, [...rows, columns])];
        });
      }),
  );
};

/**
 * A symbol for the rank of each: with a shared one the memory planner would re-use buffers between linears, and fail for an adapter
 * of several ranks.
 */
const halfInput = (module: string, half: 'A' | 'B', features: number): Buffer =>
  valueInfoMessage(inputOf(module, half), elementType.float, [`${module}.rank`, features]);

/**
 * Adds LoRA to each module of the family: y = linear(x) + (x·Aᵀ)·B, A [rank, in] and B [rank, out], alpha/rank already
 * in B, both as plain required inputs. Where a node computes several modules, or a module is several nodes, each module
 * gets its columns. Rank 0 gives exact zeros.
 *
 * This is the portable way, of ordinary operators: all rows of a step have the same adapter.
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED
 */
export const inject = (
  model: Buffer,
  family: Family,
): { readonly model: Buffer; readonly sites: readonly Site[] } => {
  const graph = readGraph(model);
  refuseOverridableLora(graph);
  const linears = linearsOf(graph, family);
  const sites = linears.map(({ site }) => site);
  const newInputs = sites.flatMap(({ module, inFeatures, outFeatures }) => [
    halfInput(module, 'A', inFeatures),
    halfInput(module, 'B', outFeatures),
  ]);
  const nodes = loraNodes(graph.nodes, linears);
  const shapes = shapesOfSums(graph, linears);
  const edited = applyEdit(graph, { nodes, newInputs, staleShapes: new Set(), outputs: new Map(), shapes });
  return { model: edited, sites };
};
