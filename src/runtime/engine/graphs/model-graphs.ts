import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../../api/names.ts';
import type { Site } from '../../compiled/compile-target.ts';
import type { Family } from '../onnx/families.ts';
import type { Graph } from '../onnx/graph.ts';
import { inject, type PairDimensions, sitesOf } from '../onnx/inject.ts';
import { cpuProvider } from '../ort/providers.ts';
import { type PreparedWeightsOptions, preparedFiles, preparedWeights } from './prepared-weights.ts';

export type ModelGraphsOptions = PreparedWeightsOptions & {
  /** The folder of the base model, and the path of its graph. */
  readonly model: { readonly folder: string; readonly graph: string };
  /** The graph as it was read. */
  readonly graph: Graph;
  readonly family: Family;
  readonly digest: Digest;
  readonly provider: string;
  readonly warn: (message: string) => void;
};

/** The graphs of a base model without and with LoRA inputs, over the same weights, and how to open them. */
export type ModelGraphs = {
  readonly base: Buffer;
  readonly lora: Buffer;
  readonly sites: readonly Site[];
  readonly weightsFolder: string;
  readonly optimised: boolean;
};

const keyOf = (site: Site): string => `${site.module} ${site.inFeatures} ${site.outFeatures}`;

const sameSites = (a: readonly Site[], b: readonly Site[]): boolean =>
  a.map(keyOf).sort().join('\n') === b.map(keyOf).sort().join('\n');

/** Makes the graph that answers requests without an adapter from the one that was exported. */
export type ToBase = (exported: Buffer) => Buffer;

const graphsFrom = (
  exported: Buffer,
  { family, provider }: ModelGraphsOptions,
  toBase: ToBase,
): Pick<ModelGraphs, 'base' | 'lora' | 'sites'> => {
  const base = toBase(exported);
  const { model: lora, sites } = inject(base, family, undefined, pairDimensions(provider));
  return { base, lora, sites };
};

/** LoRA is injected into the optimised graph, so that both graphs fit the same prepacked weights. */
const preparedGraphs = async (
  options: ModelGraphsOptions,
  expected: readonly Site[],
  toBase: ToBase,
): Promise<ModelGraphs> => {
  const { digest, model } = options;
  const weightsFolder = await preparedWeights({ digest, graph: model.graph }, options);
  const optimised = readFileSync(join(weightsFolder, preparedFiles.graph));
  const graphs = graphsFrom(optimised, options, toBase);
  if (sameSites(graphs.sites, expected)) return { ...graphs, weightsFolder, optimised: true };
  throw new Error('the optimiser merged linears that adapters need');
};

/** What the inputs of adapters look like on a provider. */
export const pairDimensions = (provider: string): PairDimensions =>
  provider === cpuProvider ? 'any' : 'fixed';

/** Without prepared weights each session holds its own: more memory, the same answers. */
const plainGraphs = (options: ModelGraphsOptions, toBase: ToBase): ModelGraphs => ({
  ...graphsFrom(options.graph.model, options, toBase),
  weightsFolder: options.model.folder,
  optimised: false,
});

/**
 * The graphs over prepared weights where those can be made, else over the files as they are, which `warn` is told.
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED; the reason of `signal`
 */
export const modelGraphs = async (options: ModelGraphsOptions, toBase: ToBase): Promise<ModelGraphs> => {
  // Other providers have their own layouts of weights.
  if (options.provider !== cpuProvider) return plainGraphs(options, toBase);
  // A family that the graph does not fit is refused for that, not for its weights.
  const expected = sitesOf(options.graph, options.family);
  return await preparedGraphs(options, expected, toBase).catch((error: unknown) => {
    options.signal.throwIfAborted();
    options.warn(`prepared weights are not usable, each graph loads its own: ${String(error)}`);
    return plainGraphs(options, toBase);
  });
};
