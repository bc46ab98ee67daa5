import type { Site } from '../../compiled/compile-target.ts';
import type { Feeds } from '../adapters/feeds.ts';
import { withExactActivations } from '../onnx/exact-activations.ts';
import type { Operators } from '../ort/profile.ts';
import {
  graphDigestOf,
  type ModelGraphs,
  type ModelGraphsOptions,
  releasedOnFailure,
} from './model-graphs.ts';
import { openOnProvider, type Pair, type Session } from './on-provider.ts';

/** The base model, loaded twice over one copy of its weights. */
export type BothSessions<S> = Pair<S> & {
  readonly graphDigest: string;
  /** Which provider runs how many operators of the base model; empty on the CPU. */
  readonly operators: Operators;
  release(): void;
};

/** The provider; the CPU where none is named. `profile` as in OnnxSessionOptions. */
export type OnProvider = { readonly provider?: string; readonly profile?: string | undefined };

type Ways<S extends Session> = {
  readonly open: (graph: Buffer, sites: readonly Site[], on: OnProvider) => Promise<S>;
  readonly answer: (session: S, feeds: Feeds) => Promise<readonly Float32Array[]>;
};

/**
 * Opens both graphs, and says what `prove` finds of them. What is open goes when that fails, and the weights.
 * @throws what `open` and `prove` throw; Error when the provider does not give the CPU's answers
 */
export const openBothSessions = async <S extends Session, Proved>(
  graphs: ModelGraphs,
  {
    provider,
    cacheDir,
    doing,
    operator,
  }: Pick<ModelGraphsOptions, 'provider' | 'cacheDir' | 'doing' | 'operator'>,
  { open, answer }: Ways<S>,
  prove: (pair: Pair<S>, key: string) => Promise<Proved>,
): Promise<Proved & BothSessions<S>> => {
  const { weights, sites } = graphs;
  doing('packing the weights for requests without an adapter, and with one');
  const sitesOf = (graph: keyof Pair<S>): readonly Site[] => (graph === 'lora' ? sites : []);
  const graphDigest = graphDigestOf(graphs.lora, operator);
  const { base, lora, operators, proofKey } = await releasedOnFailure(weights, () =>
    openOnProvider<S>({
      provider,
      graphDigest,
      cacheDir,
      open: (graph, profile) => open(graphs[graph], sitesOf(graph), { provider, profile }),
      openExact: (graph) => open(withExactActivations(graphs[graph]), sitesOf(graph), {}),
      answer,
    }),
  );
  const release = (): void => {
    base.release();
    lora.release();
    weights?.release();
  };
  try {
    return { ...(await prove({ base, lora }, proofKey)), base, lora, graphDigest, operators, release };
  } catch (error) {
    release();
    throw error;
  }
};
