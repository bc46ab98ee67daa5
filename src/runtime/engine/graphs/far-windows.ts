import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { withNearWindows } from '../onnx/attention-windows.ts';
import { isProvedInPieces, provePieces } from '../proofs/prove-pieces.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import { graphDigestOf, type ModelGraphsOptions, withSession } from './model-graphs.ts';
import { proofKeyOf } from './on-provider.ts';

/** In place of windows that are too far to be crossed at a start: attention computes the same with another number. */
const standInTokens = 32;

type FarWindowsOptions = Omit<Parameters<typeof provePieces>[1], 'key' | 'near'> &
  Pick<ModelGraphsOptions, 'provider' | 'operator' | 'signal'> & {
    /** Opens a graph without LoRA inputs on the provider. */
    readonly open: (graph: Buffer) => Promise<DecoderSession>;
  };

/**
 * Why it is not shown that a graph without LoRA inputs answers in pieces as at once across its windows of attention; undefined where
 * it is, once, on smaller windows. It is best asked before other sessions are open: it opens one.
 * @throws the reason of `signal`
 */
export const doubtOfWindows = async (
  graph: Buffer,
  options: FarWindowsOptions,
): Promise<string | undefined> => {
  const { provider, operator, signal, open } = options;
  try {
    const standIn = withNearWindows(graph, standInTokens);
    const doing = (what: string): void =>
      options.doing(`${what}, across a window of ${standInTokens} tokens`);
    const key = proofKeyOf(provider, graphDigestOf(standIn, operator));
    const proof = { ...options, doing, key, near: [standInTokens] };
    if (!isProvedInPieces(proof))
      await withSession(open(standIn), (session) => provePieces([session], proof));
    return undefined;
  } catch (error) {
    signal.throwIfAborted();
    return error instanceof AdaptletError ? error.what : String(error);
  }
};
