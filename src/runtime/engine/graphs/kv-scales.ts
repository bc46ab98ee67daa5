import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { writeDurable } from '../../../disk/durable.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { readGraph } from '../onnx/graph.ts';
import { type CacheEntry, cacheEntries } from '../onnx/quantised-cache.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import { machineKey } from '../session/runtime-options.ts';
import { showCache } from '../session/shown-cache.ts';

/** What 1 stands for in each channel of each head, by the name of the input with earlier keys or values. */
export type KvScales = ReadonlyMap<string, Float32Array>;

/** Tokens of texts, each run by itself. */
export type SampleIds = {
  readonly learned: readonly (readonly number[])[];
  readonly unseen: readonly (readonly number[])[];
};

/** Room above what the texts showed: other texts reach a little further, and adapters much further (docs/adr/0044). */
const headroom = 2;
const largest = 127;

/** The channel that a position turns a channel into, and back. */
const partnerOf = (channel: number, pairs: NonNullable<CacheEntry['pairs']>): number => {
  if (channel >= 2 * pairs.count) return channel;
  if (pairs.interleaved) return channel ^ 1;
  return channel < pairs.count ? channel + pairs.count : channel - pairs.count;
};

/** Makes the largest values larger where those of a text are; a key can turn to wherever its position turns it. */
const raise = (
  most: Float32Array,
  values: Float32Array | Int8Array,
  { kvHeads, headSize }: DecoderSession['cacheShape'],
  pairs: CacheEntry['pairs'],
): void => {
  const tokens = values.length / (kvHeads * headSize);
  for (let at = 0; at < values.length; at += 1) {
    const channel = at % headSize;
    const value = values[at] ?? 0;
    const other = pairs === undefined ? channel : partnerOf(channel, pairs);
    const size = other === channel ? Math.abs(value) : Math.hypot(value, values[at - channel + other] ?? 0);
    const place = Math.floor(at / (tokens * headSize)) * headSize + channel;
    if (!(size <= (most[place] ?? 0))) most[place] = size;
  }
};

/**
 * Scales for int8 keys and values, by what texts make of them in float32.
 * @throws MODEL_UNSUPPORTED
 */
export const learnScales = async (
  session: DecoderSession,
  graph: Buffer,
  texts: SampleIds['learned'],
): Promise<KvScales> => {
  const entries = new Map(cacheEntries(readGraph(graph)).map((entry) => [entry.past, entry]));
  const { kvHeads, headSize } = session.cacheShape;
  const all = session.pasts.map(() => new Float32Array(kvHeads * headSize));
  const feeds = session.feeds(new Map());
  try {
    for (const ids of texts) {
      await showCache(session, feeds, { ids, wanted: [0] }, ({ entry, values }) => {
        const pairs = entries.get(session.pasts[entry] ?? '')?.pairs;
        const most = all[entry];
        if (most !== undefined) raise(most, values, session.cacheShape, pairs);
      });
    }
  } finally {
    feeds.release();
  }
  return new Map(
    session.pasts.map((past, entry) => {
      const most = all[entry] ?? new Float32Array(0);
      if (!most.every(Number.isFinite))
        throw new AdaptletError('MODEL_UNSUPPORTED', `The values of ${past} are not finite`);
      // A channel that was always 0 has no size of its own.
      const least = most.reduce((max, value) => Math.max(max, value), 0) / largest || 1;
      return [past, most.map((value) => (headroom * Math.max(value, least)) / largest)] as const;
    }),
  );
};

/** Logits of every position of texts, one after the other. */
export const logitsOfTexts = async (
  session: DecoderSession,
  texts: SampleIds['unseen'],
): Promise<readonly Float32Array[]> => {
  const feeds = session.feeds(new Map());
  try {
    const answers: Float32Array[] = [];
    for (const ids of texts) answers.push(await session.logitsOf(feeds, ids, [...ids.keys()]));
    return answers;
  } finally {
    feeds.release();
  }
};

/** Root of the mean square of what answers differ by, over the spread of the answers. */
export const relativeError = (got: readonly Float32Array[], expected: readonly Float32Array[]): number => {
  let difference = 0;
  let spread = 0;
  for (const [index, own] of expected.entries()) {
    const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
    for (const [at, value] of own.entries()) {
      difference += ((got[index]?.[at] ?? Number.NaN) - value) ** 2;
      spread += (value - mean) ** 2;
    }
  }
  return Math.sqrt(difference / spread);
};

/** Scales are those of a graph, ONNX Runtime, build of the native operator, processor, and of how they are learned. */
export const scalesKey = (graph: Buffer, samples: SampleIds, operatorDigest: string): string =>
  createHash('sha256')
    .update(graph)
    .update([machineKey(), operatorDigest, JSON.stringify({ samples, headroom })].join('\n'))
    .digest('hex');

const keptSchema = z.record(z.string(), z.array(z.number().positive()));

/** Scales that were proved before; undefined where there are none, or not whole ones. */
export const keptScales = (cacheDir: string, key: string): KvScales | undefined => {
  const file = join(cacheDir, 'kv-scales', key);
  if (!existsSync(file)) return undefined;
  try {
    const kept = keptSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
    return new Map(Object.entries(kept).map(([past, values]) => [past, Float32Array.from(values)]));
  } catch {
    // Torn: they are learned again.
    return undefined;
  }
};

export const keepScales = async (cacheDir: string, key: string, scales: KvScales): Promise<void> => {
  const content = Object.fromEntries([...scales].map(([past, values]) => [past, [...values]]));
  await writeDurable(join(cacheDir, 'kv-scales', key), JSON.stringify(content));
};
