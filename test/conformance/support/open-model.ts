import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AdapterTable } from '../../../src/runtime/engine/adapters/adapter-table.ts';
import { Arena } from '../../../src/runtime/engine/adapters/arena.ts';
import type { Feeds } from '../../../src/runtime/engine/adapters/feeds.ts';
import type { Pairs } from '../../../src/runtime/engine/adapters/pairs.ts';
import {
  type GenerateModel,
  openGenerateModel,
} from '../../../src/runtime/engine/generate/generate-model.ts';
import { readModelGraph } from '../../../src/runtime/engine/model/folder.ts';
import { Mutex } from '../../../src/runtime/engine/mutex.ts';
import { NativeMemory } from '../../../src/runtime/engine/ort/memory.ts';
import type { Operator } from '../../../src/runtime/engine/ort/operator.ts';
import type { KvWish } from '../../../src/runtime/engine/schedule/kv-budget.ts';
import type { ProviderWish } from '../../../src/runtime/engine/session/choose-provider.ts';
import type { DecoderSession } from '../../../src/runtime/engine/session/decoder-session.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { operator } from './operator.ts';

export type OpenModel = GenerateModel & {
  readonly adapters: AdapterTable<DecoderSession>;
  readonly warnings: readonly string[];
};

/** What it is to run on, and how its keys and values are stored. */
export type OpenWish = ProviderWish & {
  readonly kv?: KvWish;
  readonly operator?: Operator | undefined;
  readonly signal?: AbortSignal;
  readonly cacheRoomBytes?: number;
};

/** Opens a base model in this process, as the engine process does, with what it warns of. */
export const openBase = async (
  modelDir: string,
  cacheDir: string,
  wish: OpenWish = {},
  doing: (what: string) => void = () => undefined,
): Promise<GenerateModel & Pick<OpenModel, 'warnings'>> => {
  const warnings: string[] = [];
  const base = await openGenerateModel(modelDir, readModelGraph(modelDir), {
    cacheDir,
    threads: 1,
    clock: systemClock,
    warn: (message) => warnings.push(message),
    doing,
    signal: new AbortController().signal,
    operator,
    ...wish,
  });
  return { ...base, warnings };
};

/** The same, with memory for adapters. */
export const openModel = async (
  modelDir: string,
  cacheDir: string,
  wish: OpenWish = {},
  doing?: (what: string) => void,
): Promise<OpenModel> => {
  const base = await openBase(modelDir, cacheDir, wish, doing);
  const adapters = new AdapterTable({
    arena: new Arena(64 << 20),
    graph: base.sessions.lora,
    expected: base.info,
    steps: new Mutex(),
  });
  return { ...base, adapters };
};

/** A graph and what is fed to it: a loaded adapter, or {@link withLora}. */
export type Runnable = { readonly graph: DecoderSession; readonly feeds: Feeds };

/** A graph with these pairs, or with none. */
export const withLora = (graph: DecoderSession, pairs: Pairs = new Map()): Runnable => ({
  graph,
  feeds: graph.feeds(pairs),
});

/** Logits of every position. */
export const allLogits = ({ graph, feeds }: Runnable, ids: readonly number[]): Promise<Float32Array> =>
  graph.logitsOf(feeds, ids, [...ids.keys()]);

/** Values in memory of their own, which tests do not give back. */
export const floatsAt = (values: Float32Array): bigint => {
  const memory = new NativeMemory(values.byteLength);
  new Float32Array(memory.buffer, 0, values.length).set(values);
  return memory.address;
};

/** Greedy tokens, at most `count`, the end token included. */
export const greedy = async (
  { graph, feeds }: Runnable,
  prompt: readonly number[],
  options: { readonly eosIds: ReadonlySet<number>; readonly count: number },
): Promise<number[]> => {
  const out: number[] = [];
  const cache = graph.newCache(prompt.length + options.count);
  let ids = prompt;
  while (out.length < options.count) {
    const logits = await graph.prepare(feeds, ids, cache, [ids.length - 1])();
    const next = logits.reduce((best, value, id) => (value > (logits[best] ?? -Infinity) ? id : best), 0);
    out.push(next);
    if (options.eosIds.has(next)) break;
    ids = [next];
  }
  cache.release();
  return out;
};

export const readConfig = (modelDir: string): { readonly layers: number; readonly kvHeads: number } => {
  const config = JSON.parse(readFileSync(join(modelDir, '../config.json'), 'utf8')) as Record<string, number>;
  return { layers: config['num_hidden_layers'] ?? 0, kvHeads: config['num_key_value_heads'] ?? 0 };
};
