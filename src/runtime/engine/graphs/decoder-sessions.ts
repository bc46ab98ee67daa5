import { createHash } from 'node:crypto';
import type { Site } from '../../compiled/compile-target.ts';
import { withExactActivations } from '../onnx/exact-activations.ts';
import { inject } from '../onnx/inject.ts';
import { gatherLogitsRows } from '../onnx/logits-rows.ts';
import type { Operators } from '../ort/profile.ts';
import { alone, proveRows } from '../proofs/prove-rows.ts';
import { proveWiring } from '../proofs/wiring.ts';
import { DecoderSession } from '../session/decoder-session.ts';
import type { RunOptions } from '../session/runtime-options.ts';
import { LoraGraphs, type OpenSubset } from './lora-graphs.ts';
import { type ModelGraphsOptions, modelGraphs, pairDimensions } from './model-graphs.ts';
import { openOnProvider } from './on-provider.ts';

/**
 * The base model, loaded twice over one copy of its weights: requests without an adapter run the graph as it was
 * exported and pay nothing for LoRA.
 */
export type DecoderSessions = {
  readonly base: DecoderSession;
  readonly lora: DecoderSession;
  /** Graphs for adapters; the full one is `lora`. */
  readonly graphs: LoraGraphs;
  /** True when rows of different lengths and adapters can run together. */
  readonly rowsTogether: boolean;
  readonly graphDigest: string;
  /** Which provider runs how many operators of the base model; empty on the CPU. */
  readonly operators: Operators;
  release(): void;
};

export type DecoderSessionsOptions = ModelGraphsOptions & Pick<RunOptions, 'spin'>;

/**
 * Opens both graphs.
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_WIRING_BROKEN; Error when the provider does not give the CPU's answers
 */
export const openDecoderSessions = async (options: DecoderSessionsOptions): Promise<DecoderSessions> => {
  const graphs = await modelGraphs(options, gatherLogitsRows);
  const { weightsFolder, optimised, sites } = graphs;
  const { threads, spin, headSize, provider, cacheDir } = options;
  const graphOptions = { weightsFolder, optimised, threads, spin, headSize };
  const sitesOf = (graph: 'base' | 'lora'): readonly Site[] => (graph === 'lora' ? sites : []);
  const graphDigest = createHash('sha256').update(graphs.lora).digest('hex');
  const { base, lora, operators, proofKey } = await openOnProvider({
    provider,
    graphDigest,
    cacheDir,
    open: (graph, profile) =>
      DecoderSession.open(graphs[graph], sitesOf(graph), { ...graphOptions, provider, profile }),
    openExact: (graph) =>
      DecoderSession.open(withExactActivations(graphs[graph]), sitesOf(graph), graphOptions),
    answer: alone,
  });
  const openSubset: OpenSubset = async (wanted) => {
    const subset = inject(graphs.base, options.family, wanted, pairDimensions(provider));
    return await DecoderSession.open(subset.model, subset.sites, { ...graphOptions, provider });
  };
  const loraGraphs = new LoraGraphs({ full: lora, openSubset, warn: options.warn });
  const release = (): void => {
    base.release();
    loraGraphs.release();
  };
  try {
    await proveWiring(lora, proofKey, cacheDir);
    const rowsTogether = await proveRows({ base, lora }, { ...options, graphDigest: proofKey });
    return { base, lora, graphs: loraGraphs, rowsTogether, graphDigest, operators, release };
  } catch (error) {
    release();
    throw error;
  }
};
