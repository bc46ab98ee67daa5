import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { readGraph } from '../onnx/graph.ts';
import { cacheEntries, quantiseCache } from '../onnx/quantised-cache.ts';
import type { Operator } from '../ort/operator.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import {
  type KvScales,
  keepScales,
  keptScales,
  learnScales,
  logitsOfTexts,
  relativeError,
  type SampleIds,
  scalesKey,
} from './kv-scales.ts';
import { type ModelGraphs, withSession } from './model-graphs.ts';

/**
 * How far logits may be from those with float32 keys and values, root of the mean square, as a share of their spread. Measured:
 * 0.01 on the tiny model, 0.06 on SmolLM2 in int4, whose steps of another shape differ by 0.03 (docs/adr/0044); with scales of a
 * third of the size 0.4 to 0.6.
 */
const maxError = 0.15;

export type Int8CacheOptions = {
  readonly cacheDir: string;
  readonly samples: SampleIds;
  /** That sessions are opened with. */
  readonly operator: Operator | undefined;
  /** Opens a graph without LoRA inputs. */
  readonly open: (graph: Buffer) => Promise<DecoderSession>;
  /** See ModelOptions. */
  readonly doing: (what: string) => void;
};

/**
 * Scales for a graph, once they gave nearly the answers of float32 on texts that they were not learned from.
 * @throws MODEL_UNSUPPORTED
 */
const provedScales = async (graph: Buffer, { samples, open }: Int8CacheOptions): Promise<KvScales> => {
  const { scales, expected } = await withSession(open(graph), async (session) => ({
    scales: await learnScales(session, graph, samples.learned),
    expected: await logitsOfTexts(session, samples.unseen),
  }));
  const got = await withSession(open(quantiseCache(graph, scales)), (session) =>
    logitsOfTexts(session, samples.unseen),
  );
  const error = relativeError(got, expected);
  if (error <= maxError) return scales;
  throw new AdaptletError(
    'MODEL_UNSUPPORTED',
    `With keys and values in int8 the answers are not those of float32: they differ by ${(100 * error).toFixed(1)} % of their spread`,
    { advice: 'Take --kv-precision float32.' },
  );
};

/**
 * The graphs of a base model with keys and values in int8. What an int8 stands for is learned once for a graph, libraries, machine
 * and sample texts, from the graph in float32, and kept in `cacheDir`.
 * @throws MODEL_UNSUPPORTED
 */
export const withInt8Cache = async (graphs: ModelGraphs, options: Int8CacheOptions): Promise<ModelGraphs> => {
  // Before anything is opened.
  cacheEntries(readGraph(graphs.base));
  const { cacheDir, samples, operator } = options;
  const key = scalesKey(graphs.base, samples, operator?.digest ?? '');
  let scales = keptScales(cacheDir, key);
  if (scales === undefined) {
    options.doing('learning what keys and values in int8 stand for, once');
    scales = await provedScales(graphs.base, options);
    await keepScales(cacheDir, key, scales);
  }
  return {
    ...graphs,
    base: quantiseCache(graphs.base, scales),
    lora: quantiseCache(graphs.lora, scales),
  };
};
