import type { Site } from '../../compiled/compile-target.ts';
import { alone, proveTexts } from '../proofs/prove-texts.ts';
import { proveWiring } from '../proofs/wiring.ts';
import { EncoderSession } from '../session/encoder-session.ts';
import type { RunOptions } from '../session/runtime-options.ts';
import { type BothSessions, type OnProvider, openBothSessions } from './both-sessions.ts';
import { type ModelGraphsOptions, modelGraphs, openWithOperator } from './model-graphs.ts';

/** An encoder, loaded twice over one copy of its weights, as decoders are: see decoder-sessions.ts. */
export type EncoderSessions = BothSessions<EncoderSession> & {
  /** True when texts that run together can have different adapters. */
  readonly mixes: boolean;
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
  const { weightsFolder, weights, optimised } = graphs;
  const { threads, spin, cacheDir, doing, operator } = options;
  const graphOptions = { weightsFolder, weights, optimised, threads, spin, operator };
  const ways = {
    open: (graph: Buffer, sites: readonly Site[], on: OnProvider) =>
      EncoderSession.open(graph, sites, { ...graphOptions, ...on }),
    answer: alone,
  };
  return await openBothSessions(graphs, options, ways, async ({ lora }, key) => {
    await proveWiring(lora, { key, cacheDir, doing });
    return { mixes: await proveTexts(lora, { key, cacheDir, doing }) };
  });
};
