import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Site } from '../../compiled/compile-target.ts';
import { roundsActivations } from '../onnx/exact-activations.ts';
import { inputShape, readGraph } from '../onnx/graph.ts';
import { lengthUseOf } from '../onnx/lengths.ts';
import { gatherLogitsRows } from '../onnx/logits-rows.ts';
import { hasOwnProducts } from '../onnx/own-products.ts';
import { joinPositionTables, type PositionTables } from '../onnx/position-tables.ts';
import { rowInputs, writesInPlace } from '../onnx/rows-in-place.ts';
import { cpuProvider } from '../ort/providers.ts';
import { type Limits, limitsOf } from '../proofs/limits.ts';
import { unmovedInRows } from '../proofs/moved-rows.ts';
import { provePieces } from '../proofs/prove-pieces.ts';
import { proveRows } from '../proofs/prove-rows.ts';
import { aloneOf, casesWith, type Tolerance, tolerances } from '../proofs/row-answers.ts';
import { proveWiring } from '../proofs/wiring.ts';
import { DecoderSession } from '../session/decoder-session.ts';
import type { KvElement } from '../session/kv-cache.ts';
import type { RunOptions } from '../session/runtime-options.ts';
import { type BothSessions, type OnProvider, openBothSessions } from './both-sessions.ts';
import { doubtOfWindows } from './far-windows.ts';
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
  /** The native operator computes all linears in int4 and int8. */
  readonly ownProducts: boolean;
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

/** What a graph shows of its lengths, and how near answers of it have to be. */
type Shown = Limits & { readonly tolerance: Tolerance };

/**
 * What a graph shows of its lengths before both sessions are open.
 * @throws MODEL_UNSUPPORTED; the reason of `signal`
 */
const shownOf = async (
  { base, foreignAttention }: Pick<ModelGraphs, 'base' | 'foreignAttention'>,
  options: DecoderSessionsOptions & {
    readonly tables: PositionTables | undefined;
    /** Opens a graph without LoRA inputs on the provider. */
    readonly open: (graph: Buffer) => Promise<DecoderSession>;
  },
): Promise<Shown> => {
  const { tables, provider } = options;
  const graph = readGraph(base);
  const rounds = provider !== cpuProvider || roundsActivations(graph);
  const shortPositions = tables === undefined ? options.shortPositions : undefined;
  // A graph that was made to write in place sees shorter rows with padding.
  const told = writesInPlace(graph) && inputShape(graph, rowInputs.past) === undefined;
  const model = { ...options, told, rounds, shortPositions };
  const shown = {
    ...limitsOf(lengthUseOf(graph, tables), model),
    tolerance: tolerances[rounds ? 'rounded' : 'exact'],
  };
  const { farWindow, tolerance, reasons } = shown;
  // That of the native operator is proved with a window that binds.
  if (farWindow === undefined || foreignAttention === undefined) return shown;
  const doubt = await doubtOfWindows(base, { ...options, tolerance });
  if (doubt === undefined) return shown;
  const reason = `requests of more than ${farWindow} tokens are refused: attention looks back ${farWindow} tokens, and it is not shown with a smaller window that a prompt in pieces is answered as at once: ${doubt}`;
  return { ...shown, maxTokens: farWindow, reasons: [...reasons, reason] };
};

/**
 * What holds of sequences: in pieces as at once, beside others as alone; as far as the graph shows it, and running it.
 * @throws MODEL_UNSUPPORTED
 */
const proveSequences = async (
  { base, lora }: Pick<DecoderSessions, 'base' | 'lora'>,
  { reasons, together, maxTokens, near, tolerance }: Shown,
  options: DecoderSessionsOptions & { readonly key: string; readonly tables: PositionTables | undefined },
): Promise<Proved> => {
  const limits: string[] = [];
  const warn = (message: string): void => {
    limits.push(message);
    options.warn(message);
  };
  for (const reason of reasons) warn(reason);
  const proof = { ...options, tolerance, near, warn };
  await provePieces([base, lora], proof);
  const rowsTogether = together && (await proveRows(lora, proof));
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
  const ways = {
    open: (graph: Buffer, sites: readonly Site[], on: OnProvider) =>
      DecoderSession.open(graph, sites, { ...graphOptions, ...on }),
    answer: aloneOf(casesWith(tables)),
  };
  const onProvider = (graph: Buffer): Promise<DecoderSession> => ways.open(graph, [], { provider });
  const { graphs, shown } = await releasedOnFailure(weights, async () => {
    const made =
      kvPrecision === 'int8'
        ? await withInt8Cache(
            { ...plain, foreignAttention: 'keys and values are int8' },
            { cacheDir, samples, operator, open: onProvider, doing },
          )
        : await withNativeAttention(plain, options);
    return { graphs: made, shown: await shownOf(made, { ...options, tables, open: onProvider }) };
  });
  return await openBothSessions(graphs, options, ways, async (sessions, key) => {
    const proved = await proveSequences(sessions, shown, { ...options, key, tables });
    const { lora } = sessions;
    const doubtful = async () => (proved.rowsTogether ? await unmovedInRows(lora) : lora.sites);
    await proveWiring(lora, { key, cacheDir, doing }, doubtful);
    const { foreignAttention } = graphs;
    const ownProducts = hasOwnProducts(readGraph(graphs.base));
    return { ...proved, ownProducts, ...(foreignAttention === undefined ? {} : { foreignAttention }) };
  });
};
