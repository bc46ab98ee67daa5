import { createHash } from 'node:crypto';
import type { Site } from '../../compiled/compile-target.ts';
import { mixedSites } from '../proofs/prove-texts.ts';
import { proveWiring } from '../proofs/wiring.ts';
import { EncoderSession } from '../session/encoder-session.ts';
import type { RunOptions } from '../session/runtime-options.ts';
import { type ModelGraphsOptions, modelGraphs } from './model-graphs.ts';

/** An encoder, loaded twice over one copy of its weights, as decoders are: see decoder-sessions.ts. */
export type EncoderSessions = {
  readonly base: EncoderSession;
  readonly lora: EncoderSession;
  /** Where texts that run together can have different adapters. */
  readonly mixedSites: readonly Site[];
  readonly graphDigest: string;
  release(): void;
};

export type EncoderSessionsOptions = Omit<ModelGraphsOptions, 'headSize' | 'task'> & Pick<RunOptions, 'spin'>;

/** LoRA goes into the graph as it is. */
const asExported = (graph: Buffer): Buffer => graph;

/**
 * Opens both graphs.
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_WIRING_BROKEN
 */
export const openEncoderSessions = async (options: EncoderSessionsOptions): Promise<EncoderSessions> => {
  // Encoders have no heads that a cache would need.
  const graphs = await modelGraphs({ ...options, headSize: 1, task: 'embed' }, asExported);
  const { base: exported, lora: injected, sites, weightsFolder, optimised } = graphs;
  const { threads, spin, provider } = options;
  const graphOptions = { weightsFolder, optimised, threads, spin, provider };
  const base = await EncoderSession.open(exported, [], graphOptions);
  const lora = await EncoderSession.open(injected, sites, graphOptions);
  const graphDigest = createHash('sha256').update(injected).digest('hex');
  await proveWiring(lora, graphDigest, options.cacheDir);
  return {
    base,
    lora,
    mixedSites: await mixedSites(lora, { graphDigest, cacheDir: options.cacheDir }),
    graphDigest,
    release: () => {
      base.release();
      lora.release();
    },
  };
};
