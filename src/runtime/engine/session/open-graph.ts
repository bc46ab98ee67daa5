import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { MappedWeights } from '../ort/mapped-weights.ts';
import { OnnxSession } from '../ort/session.ts';
import { type RunOptions, sessionOptions } from './runtime-options.ts';

export type GraphOptions = RunOptions & {
  /** Folder with the files that the graph names for its weights. */
  readonly weightsFolder: string;
  /** Those weights, where several sessions share them. */
  readonly weights?: MappedWeights | undefined;
  /** The graph went through ONNX Runtime's optimiser already. */
  readonly optimised: boolean;
  /** All three: see OnnxSessionOptions. */
  readonly profile?: string | undefined;
  readonly optimisedFile?: string | undefined;
  readonly optimisedWeights?: string | undefined;
};

/** @throws MODEL_INVALID */
export const openGraph = (graph: Buffer, options: GraphOptions): Promise<OnnxSession> => {
  const { optimised, weightsFolder, weights, profile, optimisedFile, optimisedWeights } = options;
  return OnnxSession.open(graph, {
    ...sessionOptions(options, optimised ? 'none' : 'all'),
    weightsFolder,
    weights,
    profile,
    optimisedFile,
    optimisedWeights,
  }).catch((cause: unknown) => {
    throw new AdaptletError('MODEL_INVALID', `ONNX Runtime refuses the graph: ${String(cause)}`, { cause });
  });
};
