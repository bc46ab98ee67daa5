import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../../compiled/compile-target.ts';
import { withNearWindows } from '../onnx/attention-windows.ts';
import { roundsActivations } from '../onnx/exact-activations.ts';
import { readGraph } from '../onnx/graph.ts';
import { lengthUseOf } from '../onnx/lengths.ts';
import { gatherLogitsRows } from '../onnx/logits-rows.ts';
import { joinPositionTables, type PositionTables } from '../onnx/position-tables.ts';
import { cpuProvider } from '../ort/providers.ts';
import { limitsOf } from '../proofs/limits.ts';
import { unmovedInRows } from '../proofs/moved-rows.ts';
import { isProvedInPieces, provePieces } from '../proofs/prove-pieces.ts';
import { proveRows } from '../proofs/prove-rows.ts';
import { aloneOf, casesWith, tolerances } from '../proofs/row-answers.ts';
import { proveWiring } from '../proofs/wiring.ts';
import { DecoderSession } from '../session/decoder-session.ts';
import type { KvElement } from '../session/kv-cache.ts';
import type { RunOptions } from '../session/runtime-options.ts';
import { type BothSessions, type OnProvider, openBothSessions } from './both-sessions.ts';
import { withInt8Cache } from './int8-cache.ts';
import type { SampleIds } from './kv-scales.ts';
import {
  type ModelGraphs,
  type ModelGraphsOptions,
  modelGraphs,
  openWithOperator,
  releasedOnFailure,
} from './model-graphs.ts';
import { withNativeAttention } from './native-attention.ts';

/**
 * The base model, loaded twice over one copy of its weights: requests without an adapter run the graph as it was
 * exported and pay nothing for LoRA.
 */
export type DecoderSessions = BothSessions<DecoderSession> & {
  /** True when rows of different lengths can run together; of different adapters, where `lora` takes them. */
  readonly rowsTogether: boolean;
  /** Tokens of prompt and answer up to which answers are shown to be right. */
  readonly maxTokens: number;
  /** What is not allowed because it could not be shown to be right, and why. */
  readonly limits: readonly string[];
} & Pick<ModelGraphs, 'foreignAttention'>;

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

/** In place of windows that are too far to be crossed at a start: attention computes the same with another number. */
const standInTokens = 32;

/** True when a graph answers in pieces as at once across its windows, shown on smaller ones. */
const holdsAcrossWindows = async (
  graph: Buffer,
  options: Omit<Parameters<typeof provePieces>[1], 'near'>,
  open: (graph: Buffer) => Promise<DecoderSession>,
): Promise<boolean> => {
  const doing = (what: string): void => options.doing(`${what}, across a window of ${standInTokens} tokens`);
  const proof = { ...options, doing, key: `${options.key}-windows`, near: [standInTokens] };
  if (isProvedInPieces(proof)) return true;
  const session = await open(withNearWindows(graph, standInTokens));
  try {
    await provePieces([session], proof);
    return true;
  } catch (error) {
    if (error instanceof AdaptletError && error.code === 'MODEL_UNSUPPORTED') return false;
    throw error;
  } finally {
    session.release();
  }
};

/**
 * What holds of sequences: in pieces as at once, beside others as alone; as far as the graph shows it, and running it.
 * @throws MODEL_UNSUPPORTED
 */
const proveSequences = async (
  sessions: Pick<DecoderSessions, 'base' | 'lora'>,
  { base, foreignAttention }: Pick<ModelGraphs, 'base' | 'foreignAttention'>,
  options: DecoderSessionsOptions & {
    readonly key: string;
    readonly tables: PositionTables | undefined;
    /** Opens a graph without LoRA inputs on the provider. */
    readonly open: (graph: Buffer) => Promise<DecoderSession>;
  },
): Promise<Proved> => {
  const { tables, provider, contextLength, window } = options;
  const graph = readGraph(base);
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
  await provePieces([sessions.base, sessions.lora], { ...proof, near: shown.near });
  const { farWindow } = shown;
  // That of the native operator is proved with a window that binds.
  const isShort =
    farWindow !== undefined &&
    foreignAttention !== undefined &&
    !(await holdsAcrossWindows(base, proof, options.open));
  if (isShort)
    warn(
      `requests of more than ${farWindow} tokens are refused: attention looks back ${farWindow} tokens, and with a smaller window a prompt in pieces is not answered as at once`,
    );
  const maxTokens = isShort ? Math.min(farWindow, shown.maxTokens) : shown.maxTokens;
  const rowsTogether = shown.together && (await proveRows(sessions.lora, { ...proof, near: shown.near }));
  return { rowsTogether, maxTokens, limits };
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
  const { weightsFolder, weights, optimised } = plain;
  const tables = joined?.tables;
  const graphOptions = { weightsFolder, weights, optimised, threads, spin, headSize, tables, operator };
  const open = (graph: Buffer): Promise<DecoderSession> => DecoderSession.open(graph, [], graphOptions);
  const graphs = await releasedOnFailure(weights, () =>
    kvPrecision === 'int8'
      ? withInt8Cache(
          { ...plain, foreignAttention: 'keys and values are int8' },
          { cacheDir, samples, operator, open, doing },
        )
      : withNativeAttention(plain, options),
  );
  const ways = {
    open: (graph: Buffer, sites: readonly Site[], on: OnProvider) =>
      DecoderSession.open(graph, sites, { ...graphOptions, ...on }),
    answer: aloneOf(casesWith(tables)),
  };
  const onProvider = (graph: Buffer): Promise<DecoderSession> => ways.open(graph, [], { provider });
  return await openBothSessions(graphs, options, ways, async (sessions, key) => {
    const proof = { ...options, key, cacheDir, tables, open: onProvider };
    const proved = await proveSequences(sessions, graphs, proof);
    const { lora } = sessions;
    const doubtful = async () => (proved.rowsTogether ? await unmovedInRows(lora) : lora.sites);
    await proveWiring(lora, { key, cacheDir, doing }, doubtful);
    const { foreignAttention } = graphs;
    return { ...proved, ...(foreignAttention === undefined ? {} : { foreignAttention }) };
  });
};
