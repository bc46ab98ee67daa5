import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../../api/names.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Site } from '../engine.ts';
import type { Family } from '../onnx/families.ts';
import type { Graph } from '../onnx/graph.ts';
import { inject, sitesOf } from '../onnx/inject.ts';
import { cpuProvider } from '../ort/providers.ts';
import { preparedFiles } from '../session/prepared-files.ts';
import { preparedWeights } from '../session/prepared-weights.ts';
import { sameSites } from '../session/sessions.ts';
import { proveWiring } from '../session/wiring.ts';
import { EncoderSession } from './encoder-session.ts';

/** An encoder, loaded twice over one copy of its weights, as decoders are: see session/sessions.ts. */
export type EncoderSessions = {
  readonly base: EncoderSession;
  readonly lora: EncoderSession;
  readonly graphDigest: string;
  release(): void;
};

export type EncoderSessionsOptions = {
  readonly model: { readonly folder: string; readonly graph: string };
  readonly graph: Graph;
  readonly family: Family;
  readonly digest: Digest;
  readonly cacheDir: string;
  readonly threads: number;
  readonly spin?: boolean;
  readonly provider: string;
  readonly clock: Clock;
  readonly warn: (message: string) => void;
  readonly signal: AbortSignal;
};

type Graphs = {
  readonly base: Buffer;
  readonly lora: Buffer;
  readonly sites: readonly Site[];
  readonly weightsFolder: string;
  readonly optimised: boolean;
};

const preparedGraphs = async (options: EncoderSessionsOptions): Promise<Graphs> => {
  const { model, digest, family } = options;
  // Encoders have no heads that a cache would need.
  const weights = { ...options, headSize: 1, task: 'embed' } as const;
  const folder = await preparedWeights({ digest, graph: model.graph }, weights);
  const base = readFileSync(join(folder, preparedFiles.graph));
  const { model: lora, sites } = inject(base, family);
  if (sameSites(sites, sitesOf(options.graph, family))) {
    return { base, lora, sites, weightsFolder: folder, optimised: true };
  }
  throw new Error('the optimiser merged linears that adapters need');
};

const plainGraphs = ({ model, graph, family }: EncoderSessionsOptions): Graphs => {
  const { model: lora, sites } = inject(graph.model, family);
  return { base: graph.model, lora, sites, weightsFolder: model.folder, optimised: false };
};

const usableGraphs = async (options: EncoderSessionsOptions): Promise<Graphs> => {
  if (options.provider !== cpuProvider) return plainGraphs(options);
  return await preparedGraphs(options).catch((error: unknown) => {
    options.signal.throwIfAborted();
    options.warn(`prepared weights are not usable, each graph loads its own: ${String(error)}`);
    return plainGraphs(options);
  });
};

/** Opens both graphs. Errors: MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_WIRING_BROKEN. */
export const openEncoderSessions = async (options: EncoderSessionsOptions): Promise<EncoderSessions> => {
  const { base: exported, lora: injected, sites, weightsFolder, optimised } = await usableGraphs(options);
  const { threads, spin = false, provider } = options;
  const graphOptions = { weightsFolder, optimised, threads, spin, provider };
  const base = await EncoderSession.open(exported, [], graphOptions);
  const lora = await EncoderSession.open(injected, sites, graphOptions);
  const graphDigest = createHash('sha256').update(injected).digest('hex');
  await proveWiring(lora, graphDigest, options.cacheDir);
  return {
    base,
    lora,
    graphDigest,
    release: () => {
      base.release();
      lora.release();
    },
  };
};
