import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../../api/names.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Site } from '../engine.ts';
import type { ModelFolder } from '../model/folder.ts';
import type { Family } from '../onnx/families.ts';
import type { Graph } from '../onnx/graph.ts';
import { inject, sitesOf } from '../onnx/inject.ts';
import { gatherLogitsRows } from '../onnx/logits-rows.ts';
import { cpuProvider } from '../ort/providers.ts';
import { GraphSession } from './graph-session.ts';
import { LoraGraphs, type OpenSubset } from './lora-graphs.ts';
import { preparedFiles } from './prepared-files.ts';
import { preparedWeights } from './prepared-weights.ts';
import { proveWiring } from './wiring.ts';

/**
 * The base model, loaded twice over one copy of its weights: requests without an adapter run the graph as it was
 * exported and pay nothing for LoRA.
 */
export type Sessions = {
  readonly base: GraphSession;
  readonly lora: GraphSession;
  /** Graphs for adapters; the full one is `lora`. */
  readonly graphs: LoraGraphs;
  readonly graphDigest: string;
  release(): void;
};

export type SessionsOptions = {
  readonly model: ModelFolder;
  /** model.onnx as it was read. */
  readonly graph: Graph;
  readonly family: Family;
  readonly digest: Digest;
  readonly cacheDir: string;
  readonly threads: number;
  readonly spin?: boolean;
  readonly headSize: number;
  readonly provider: string;
  readonly clock: Clock;
  readonly warn: (message: string) => void;
  readonly signal: AbortSignal;
};

/** The two graphs, and how to open them. */
type Graphs = {
  readonly base: Buffer;
  readonly lora: Buffer;
  readonly sites: readonly Site[];
  readonly weightsFolder: string;
  readonly optimised: boolean;
};

const graphsFrom = (
  exported: Buffer,
  family: Family,
  weights: { readonly weightsFolder: string; readonly optimised: boolean },
): Graphs => {
  const base = gatherLogitsRows(exported);
  const { model, sites } = inject(base, family);
  return { base, lora: model, sites, ...weights };
};

const keyOf = (site: Site): string => `${site.module} ${site.inFeatures} ${site.outFeatures}`;

export const sameSites = (a: readonly Site[], b: readonly Site[]): boolean =>
  a.map(keyOf).sort().join('\n') === b.map(keyOf).sort().join('\n');

/** LoRA is injected into the optimised graph, so that both graphs fit the same prepacked weights. */
const preparedGraphs = async (options: SessionsOptions, expected: readonly Site[]): Promise<Graphs> => {
  const folder = await preparedWeights({ digest: options.digest, graph: options.model.graph }, options);
  const optimised = readFileSync(join(folder, preparedFiles.graph));
  const graphs = graphsFrom(optimised, options.family, { weightsFolder: folder, optimised: true });
  if (sameSites(graphs.sites, expected)) return graphs;
  throw new Error('the optimiser merged linears that adapters need');
};

/** Without prepared weights each session holds its own: more memory, the same answers. */
const plainGraphs = (options: SessionsOptions): Graphs =>
  graphsFrom(options.graph.model, options.family, {
    weightsFolder: options.model.folder,
    optimised: false,
  });

const usableGraphs = async (options: SessionsOptions, expected: readonly Site[]): Promise<Graphs> => {
  // Other providers have their own layouts of weights.
  if (options.provider !== cpuProvider) return plainGraphs(options);
  return await preparedGraphs(options, expected).catch((error: unknown) => {
    options.signal.throwIfAborted();
    options.warn(`prepared weights are not usable, each graph loads its own: ${String(error)}`);
    return plainGraphs(options);
  });
};

/** Opens both graphs. Errors: MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_WIRING_BROKEN. */
export const openSessions = async (options: SessionsOptions): Promise<Sessions> => {
  const expected = sitesOf(options.graph, options.family);
  const graphs = await usableGraphs(options, expected);
  const { weightsFolder, optimised, sites } = graphs;
  const { threads, spin = false, headSize, provider } = options;
  const graphOptions = { weightsFolder, optimised, threads, spin, headSize, provider };
  const base = await GraphSession.open(graphs.base, [], graphOptions);
  const lora = await GraphSession.open(graphs.lora, sites, graphOptions);
  const graphDigest = createHash('sha256').update(graphs.lora).digest('hex');
  await proveWiring(lora, graphDigest, options.cacheDir);
  const openSubset: OpenSubset = async (wanted) => {
    const subset = inject(graphs.base, options.family, wanted);
    return await GraphSession.open(subset.model, subset.sites, graphOptions);
  };
  const loraGraphs = new LoraGraphs({ full: lora, openSubset, warn: options.warn });
  return {
    base,
    lora,
    graphs: loraGraphs,
    graphDigest,
    release: () => {
      base.release();
      loraGraphs.release();
    },
  };
};
