import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../../compiled/compile-target.ts';
import { roundsActivations, withExactActivations } from '../onnx/exact-activations.ts';
import { type Graph, readGraph } from '../onnx/graph.ts';
import { lengthUseOf } from '../onnx/lengths.ts';
import { gatherLogitsRows } from '../onnx/logits-rows.ts';
import { joinPositionTables, type PositionTables } from '../onnx/position-tables.ts';
import type { Operators } from '../ort/profile.ts';
import { cpuProvider } from '../ort/providers.ts';
import { limitsOf } from '../proofs/limits.ts';
import { unmovedInRows } from '../proofs/moved-rows.ts';
import { provePieces } from '../proofs/prove-pieces.ts';
import { proveRows } from '../proofs/prove-rows.ts';
import { aloneOf, casesWith, tolerances } from '../proofs/row-answers.ts';
import { proveWiring } from '../proofs/wiring.ts';
import { DecoderSession } from '../session/decoder-session.ts';
import type { KvElement } from '../session/kv-cache.ts';
import type { RunOptions } from '../session/runtime-options.ts';
import { withInt8Cache } from './int8-cache.ts';
import type { SampleIds } from './kv-scales.ts';
import {
  graphDigestOf,
  type ModelGraphsOptions,
  modelGraphs,
  openWithOperator,
  releasedOnFailure,
} from './model-graphs.ts';
import { openOnProvider } from './on-provider.ts';

/**
 * The base model, loaded twice over one copy of its weights: requests without an adapter run the graph as it was
 * exported and pay nothing for LoRA.
 */
export type DecoderSessions = {
  readonly base: DecoderSession;
  readonly lora: DecoderSession;
  /** True when rows of different lengths can run together; of different adapters, where `lora` takes them. */
  readonly rowsTogether: boolean;
  /** Tokens of prompt and answer up to which answers are shown to be right. */
  readonly maxTokens: number;
  /** What is not allowed because it could not be shown to be right, and why. */
  readonly limits: readonly string[];
  readonly graphDigest: string;
  /** Which provider runs how many operators of the base model; empty on the CPU. */
  readonly operators: Operators;
  release(): void;
};

export type DecoderSessionsOptions = ModelGraphsOptions &
  Pick<RunOptions, 'spin'> & {
    /** Tokens that the model says it takes. */
    readonly contextLength: number;
    /** See ModelSettings. */
    readonly shortPositions: number | undefined;
    readonly window: number | undefined;
    /** How keys and values are stored; int8 on the CPU only. */
    readonly kvPrecision: KvElement;
    readonly samples: SampleIds;
  };

type Proved = Pick<DecoderSessions, 'rowsTogether' | 'maxTokens' | 'limits'>;

/**
 * What holds of sequences: in pieces as at once, beside others as alone; as far as the graph shows it, and running it.
 * @throws MODEL_UNSUPPORTED
 */
const proveSequences = async (
  sessions: Pick<DecoderSessions, 'base' | 'lora'>,
  graph: Graph,
  options: DecoderSessionsOptions & {
    readonly key: string;
    readonly tables: PositionTables | undefined;
  },
): Promise<Proved> => {
  const { tables, provider, contextLength, window } = options;
  const limits: string[] = [];
  const warn = (message: string): void => {
    limits.push(message);
    options.warn(message);
  };
  const rounds = provider !== cpuProvider || roundsActivations(graph);
  const { inPlace, padded } = sessions.base;
  const shortPositions = tables === undefined ? options.shortPositions : undefined;
  const model = { told: inPlace && !padded, contextLength, rounds, shortPositions, window };
  const shown = limitsOf(lengthUseOf(graph, tables), model);
  for (const reason of shown.reasons) warn(reason);
  const proof = { ...options, tolerance: tolerances[rounds ? 'rounded' : 'exact'], warn };
  await provePieces(sessions, { ...proof, near: shown.near });
  const rowsTogether = shown.together && (await proveRows(sessions.lora, { ...proof, near: shown.near }));
  return { rowsTogether, maxTokens: shown.maxTokens, limits };
};

/**
 * Opens both graphs.
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED, MODEL_WIRING_BROKEN; Error when the provider does not give the CPU's answers
 */
export const openDecoderSessions = (options: DecoderSessionsOptions): Promise<DecoderSessions> =>
  openWithOperator(options, openBoth);

const openBoth = async (options: DecoderSessionsOptions): Promise<DecoderSessions> => {
  const joined = joinPositionTables(options.graph);
  const exported = joined === undefined ? options.graph : readGraph(joined.model);
  const { threads, spin, headSize, provider, cacheDir, doing, kvPrecision, samples, operator } = options;
  if (kvPrecision === 'int8' && provider !== cpuProvider) {
    throw new AdaptletError('MODEL_UNSUPPORTED', 'Keys and values in int8 are for the CPU', {
      advice: 'Take --kv-precision float32.',
    });
  }
  const plain = await modelGraphs({ ...options, graph: exported }, gatherLogitsRows);
  const { weightsFolder, weights, optimised, sites } = plain;
  const tables = joined?.tables;
  const graphOptions = { weightsFolder, weights, optimised, threads, spin, headSize, tables, operator };
  const open = (graph: Buffer): Promise<DecoderSession> => DecoderSession.open(graph, [], graphOptions);
  const graphs =
    kvPrecision === 'int8'
      ? await releasedOnFailure(weights, () => withInt8Cache(plain, { cacheDir, samples, open, doing }))
      : plain;
  doing('packing the weights for requests without an adapter, and with one');
  const sitesOf = (graph: 'base' | 'lora'): readonly Site[] => (graph === 'lora' ? sites : []);
  const graphDigest = graphDigestOf(graphs, operator);
  const { base, lora, operators, proofKey } = await releasedOnFailure(weights, () =>
    openOnProvider({
      provider,
      graphDigest,
      cacheDir,
      open: (graph, profile) =>
        DecoderSession.open(graphs[graph], sitesOf(graph), { ...graphOptions, provider, profile }),
      openExact: (graph) =>
        DecoderSession.open(withExactActivations(graphs[graph]), sitesOf(graph), graphOptions),
      answer: aloneOf(casesWith(tables)),
    }),
  );
  const release = (): void => {
    base.release();
    lora.release();
    weights?.release();
  };
  try {
    const proof = { key: proofKey, cacheDir, tables };
    const proved = await proveSequences({ base, lora }, readGraph(graphs.base), { ...options, ...proof });
    const doubtful = async () => (proved.rowsTogether ? await unmovedInRows(lora) : lora.sites);
    await proveWiring(lora, { key: proofKey, cacheDir, doing }, doubtful);
    return { base, lora, ...proved, graphDigest, operators, release };
  } catch (error) {
    release();
    throw error;
  }
};
