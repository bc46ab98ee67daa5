import { createHash } from 'node:crypto';
import { inject } from '../onnx/inject.ts';
import { gatherLogitsRows } from '../onnx/logits-rows.ts';
import { proveRows } from '../proofs/prove-rows.ts';
import { proveWiring } from '../proofs/wiring.ts';
import { DecoderSession } from '../session/decoder-session.ts';
import type { RunOptions } from '../session/runtime-options.ts';
import { LoraGraphs, type OpenSubset } from './lora-graphs.ts';
import { type ModelGraphsOptions, modelGraphs, pairDimensions } from './model-graphs.ts';

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
  release(): void;
};

export type DecoderSessionsOptions = ModelGraphsOptions & Pick<RunOptions, 'spin'>;

/**
 * Opens both graphs.
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_WIRING_BROKEN
 */
export const openDecoderSessions = async (options: DecoderSessionsOptions): Promise<DecoderSessions> => {
  const graphs = await modelGraphs(options, gatherLogitsRows);
  const { weightsFolder, optimised, sites } = graphs;
  const { threads, spin, headSize, provider } = options;
  const graphOptions = { weightsFolder, optimised, threads, spin, headSize, provider };
  const base = await DecoderSession.open(graphs.base, [], graphOptions);
  const lora = await DecoderSession.open(graphs.lora, sites, graphOptions);
  const graphDigest = createHash('sha256').update(graphs.lora).digest('hex');
  await proveWiring(lora, graphDigest, options.cacheDir);
  const rowsTogether = await proveRows({ base, lora }, { ...options, graphDigest });
  const openSubset: OpenSubset = async (wanted) => {
    const subset = inject(graphs.base, options.family, wanted, pairDimensions(provider));
    return await DecoderSession.open(subset.model, subset.sites, graphOptions);
  };
  const loraGraphs = new LoraGraphs({ full: lora, openSubset, warn: options.warn });
  return {
    base,
    lora,
    graphs: loraGraphs,
    rowsTogether,
    graphDigest,
    release: () => {
      base.release();
      loraGraphs.release();
    },
  };
};
