import type { Site } from '../../compiled/compile-target.ts';
import { withExactActivations } from '../onnx/exact-activations.ts';
import type { Operators } from '../ort/profile.ts';
import { alone, proveTexts } from '../proofs/prove-texts.ts';
import { proveWiring } from '../proofs/wiring.ts';
import { EncoderSession } from '../session/encoder-session.ts';
import type { RunOptions } from '../session/runtime-options.ts';
import {
  graphDigestOf,
  type ModelGraphsOptions,
  modelGraphs,
  openWithOperator,
  releasedOnFailure,
} from './model-graphs.ts';
import { openOnProvider } from './on-provider.ts';

/** An encoder, loaded twice over one copy of its weights, as decoders are: see decoder-sessions.ts. */
export type EncoderSessions = {
  readonly base: EncoderSession;
  readonly lora: EncoderSession;
  /** True when texts that run together can have different adapters. */
  readonly mixes: boolean;
  readonly graphDigest: string;
  /** Which provider runs how many operators of the base model; empty on the CPU. */
  readonly operators: Operators;
  release(): void;
};

export type EncoderSessionsOptions = Omit<ModelGraphsOptions, 'headSize' | 'task'> & Pick<RunOptions, 'spin'>;

/** LoRA goes into the graph as it is. */
const asExported = (graph: Buffer): Buffer => graph;

/**
 * Opens both graphs.
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_WIRING_BROKEN; Error when the provider does not give the CPU's answers
 */
export const openEncoderSessions = (options: EncoderSessionsOptions): Promise<EncoderSessions> =>
  openWithOperator(options, openBoth);

const openBoth = async (options: EncoderSessionsOptions): Promise<EncoderSessions> => {
  // Encoders have no heads that a cache would need.
  const graphs = await modelGraphs({ ...options, headSize: 1, task: 'embed' }, asExported);
  const { sites, weightsFolder, weights, optimised } = graphs;
  const { threads, spin, provider, cacheDir, doing, operator } = options;
  doing('packing the weights for requests without an adapter, and with one');
  const graphOptions = { weightsFolder, weights, optimised, threads, spin, operator };
  const sitesOf = (graph: 'base' | 'lora'): readonly Site[] => (graph === 'lora' ? sites : []);
  const graphDigest = graphDigestOf(graphs, operator);
  const { base, lora, operators, proofKey } = await releasedOnFailure(weights, () =>
    openOnProvider({
      provider,
      graphDigest,
      cacheDir,
      open: (graph, profile) =>
        EncoderSession.open(graphs[graph], sitesOf(graph), { ...graphOptions, provider, profile }),
      openExact: (graph) =>
        EncoderSession.open(withExactActivations(graphs[graph]), sitesOf(graph), graphOptions),
      answer: alone,
    }),
  );
  const release = (): void => {
    base.release();
    lora.release();
    weights?.release();
  };
  try {
    await proveWiring(lora, { key: proofKey, cacheDir, doing });
    const mixes = await proveTexts(lora, { key: proofKey, cacheDir, doing });
    return { base, lora, mixes, graphDigest, operators, release };
  } catch (error) {
    release();
    throw error;
  }
};
