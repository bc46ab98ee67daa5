import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import type { Digest } from '../../../api/names.ts';
import type { Site } from '../../compiled/compile-target.ts';
import type { FeedMaker } from '../adapters/feeds.ts';
import { sitesWithWeights } from '../onnx/base-weights.ts';
import { turnedBytes } from '../onnx/constants.ts';
import { externalWeights } from '../onnx/external-weights.ts';
import type { Family } from '../onnx/families.ts';
import type { GraphFiles } from '../onnx/file-parts.ts';
import { type Graph, readGraph } from '../onnx/graph.ts';
import { growthOfHalves } from '../onnx/in-float32.ts';
import { inject, sitesOf } from '../onnx/inject.ts';
import { injectOperator } from '../onnx/lora-operator.ts';
import type { MappedWeights } from '../ort/mapped-weights.ts';
import type { Operator } from '../ort/operator.ts';
import { cpuProvider } from '../ort/providers.ts';
import { ownProducts } from './own-products.ts';
import { openPrepared, type PreparedGraphOptions, preparedGraph } from './prepared-graph.ts';

export type ModelGraphsOptions = PreparedGraphOptions & {
  /** The folder of the base model, and the path of its graph. */
  readonly model: { readonly folder: string; readonly graph: string };
  /** The graph as it was read. */
  readonly graph: Graph;
  readonly family: Family;
  readonly digest: Digest;
  readonly provider: string;
  /** Absent: adapters come in the portable way. */
  readonly operator?: Operator | undefined;
};

/** The graphs of a base model without and with LoRA inputs, over the same weights, and how to open them. */
export type ModelGraphs = {
  readonly base: Buffer;
  readonly lora: Buffer;
  readonly sites: readonly Site[];
  readonly weightsFolder: string;
  /** For all sessions; to be released after them. Absent: each loads its own. */
  readonly weights?: MappedWeights;
  readonly optimised: boolean;
  /** Why a token's bits may depend on what else a step computes: attention is not the native operator's. */
  readonly foreignAttention?: string;
};

const keyOf = (site: Site): string => `${site.module} ${site.inFeatures} ${site.outFeatures}`;

const sameSites = (a: readonly Site[], b: readonly Site[]): boolean =>
  a.map(keyOf).sort().join('\n') === b.map(keyOf).sort().join('\n');

/** Makes the graph that answers requests without an adapter from the one that was exported. */
export type ToBase = (exported: Buffer) => Buffer;

const graphsFrom = (
  exported: Buffer,
  { family, operator }: ModelGraphsOptions,
  { toBase, files }: { readonly toBase: ToBase; readonly files: GraphFiles },
): Pick<ModelGraphs, 'base' | 'lora' | 'sites'> => {
  const base = toBase(exported);
  if (operator === undefined) {
    const { model: lora, sites } = inject(base, family);
    return { base, lora, sites };
  }
  const { model: lora } = injectOperator(base, family);
  return { base, lora, sites: sitesWithWeights(readGraph(base), family, files) };
};

/** LoRA is injected into the optimised graph, so that both graphs have the same weights. */
const preparedGraphs = async (
  options: ModelGraphsOptions,
  expected: readonly Site[],
  toBase: ToBase,
): Promise<ModelGraphs> => {
  const { digest, model } = options;
  const of = createHash('sha256').update(toBase(options.graph.model)).digest('hex');
  const weightBytes = externalWeights(options.graph).reduce((sum, { place }) => sum + (place.length ?? 0), 0);
  const growth = growthOfHalves(options.graph);
  const keptBytes = options.graph.model.length + 2 * growth + turnedBytes(options.graph);
  // Of 16 bits: once as ONNX Runtime writes all weights, and once as they are taken from there.
  const bytes = weightBytes + (growth > 0 ? 2 : 1) * keptBytes;
  const folder = await preparedGraph({ digest, graph: model.graph, bytes, keptBytes, of }, options);
  const { graph, files, weights: mapped } = openPrepared(folder, model.graph);
  try {
    const graphs = graphsFrom(graph, options, { toBase: (base) => base, files });
    if (!sameSites(graphs.sites, expected))
      throw new Error('the optimiser merged linears that adapters need');
    const toOwn = await ownProducts(
      folder,
      { graph, weights: mapped },
      { ...options, exported: model.graph },
    );
    return {
      base: toOwn(graphs.base),
      lora: toOwn(graphs.lora),
      sites: graphs.sites,
      weights: mapped,
      weightsFolder: model.folder,
      optimised: true,
    };
  } catch (error) {
    mapped.release();
    throw error;
  }
};

/** Opens sessions over shared weights, which go when that fails. */
export const releasedOnFailure = async <T>(
  weights: MappedWeights | undefined,
  open: () => Promise<T>,
): Promise<T> => {
  try {
    return await open();
  } catch (error) {
    weights?.release();
    throw error;
  }
};

/** Works with a session, which goes after that. */
export const withSession = async <S extends { release(): void }, T>(
  opening: Promise<S>,
  work: (session: S) => Promise<T>,
): Promise<T> => {
  const session = await opening;
  try {
    return await work(session);
  } finally {
    session.release();
  }
};

/** What is known of a graph holds for these bytes, and for this build of the operator. */
export const graphDigestOf = (graph: Buffer, operator: Operator | undefined): string =>
  createHash('sha256')
    .update(graph)
    .update(operator?.digest ?? '')
    .digest('hex');

/** What says of a graph which instruction set its operator uses; '' where it has none. */
export const usedOperator = (
  { weights }: Pick<FeedMaker, 'weights'>,
  operator: Operator | undefined,
): string => (weights === 'stored' ? (operator?.instructionSet ?? '') : '');

/**
 * The operator is for the CPU. A graph that does not open with it opens without its products, or else without all of it, which `warn`
 * is told.
 */
export const openWithOperator = async <
  O extends Pick<ModelGraphsOptions, 'operator' | 'provider' | 'warn' | 'signal'>,
  T,
>(
  options: O,
  open: (options: O) => Promise<T>,
): Promise<T> => {
  const { operator, provider } = options;
  if (operator === undefined || provider !== cpuProvider)
    return await open({ ...options, operator: undefined });
  try {
    return await open(options);
  } catch (error) {
    options.signal.throwIfAborted();
    const { products, ...others } = operator;
    const [next, what] =
      products === undefined
        ? [undefined, 'the native operator cannot be used with this graph, adapters take the portable way']
        : [
            others,
            "the graph does not open with products of the native operator, linears keep ONNX Runtime's",
          ];
    const opened = await openWithOperator<O, T>({ ...options, operator: next }, open);
    options.warn(`${what}: ${String(error)}`);
    return opened;
  }
};

/** Without a prepared graph each session holds its own weights, for which nothing is packed: more memory, and linears by ONNX Runtime. */
const plainGraphs = (options: ModelGraphsOptions, toBase: ToBase): ModelGraphs => ({
  ...graphsFrom(options.graph.model, options, {
    toBase,
    files: { pathOf: (location) => join(dirname(options.model.graph), location) },
  }),
  weightsFolder: options.model.folder,
  optimised: false,
});

/**
 * The graphs over shared weights where those can be had, else over the files as they are, which `warn` is told.
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED; the reason of `signal`
 */
export const modelGraphs = async (options: ModelGraphsOptions, toBase: ToBase): Promise<ModelGraphs> => {
  // Other providers have their own layouts of weights.
  if (options.provider !== cpuProvider) return plainGraphs(options, toBase);
  // A family that the graph does not fit is refused for that, not for its weights.
  const expected = sitesOf(options.graph, options.family);
  return await preparedGraphs(options, expected, toBase).catch((error: unknown) => {
    options.signal.throwIfAborted();
    options.warn(
      `the weights cannot be shared, each graph loads its own, with ONNX Runtime's products of linears: ${String(error)}`,
    );
    return plainGraphs(options, toBase);
  });
};
