import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurable } from '../../../disk/durable.ts';
import { AdapterRows } from '../adapters/adapter-rows.ts';
import type { Feeds } from '../adapters/feeds.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import { RowCache } from '../session/kv-rows.ts';
import { Perturbation } from './perturbation.ts';

/** The two graphs of a base model. */
type Graphs = { readonly base: DecoderSession; readonly lora: DecoderSession };

/** Prompts of different lengths, by tokens that every vocabulary has, and the token after each. */
const cases = [
  { prompt: [3, 5, 7, 11], next: 13 },
  { prompt: [17, 3, 13, 5, 11, 7, 2], next: 11 },
  { prompt: [13, 2], next: 5 },
] as const;

/**
 * Batched kernels round differently, which activations of 8 bits amplify. A row with another one's adapter, or its keys and
 * values, would be nearer to that one than to itself.
 */
const maxShare = 0.5;
/** Strong ones at every linear make a deep model answer to the least rounding. */
export const strength = 0.1;

/** The largest difference of two answers; NaN where one is no number, Infinity where they are not of one length. */
export const distance = (a: Float32Array, b: Float32Array): number => {
  if (a.length !== b.length) return Infinity;
  return a.reduce((max, value, index) => Math.max(max, Math.abs(value - (b[index] ?? Number.NaN))), 0);
};

/** Logits after each case by itself, with one adapter. */
export const alone = async (session: DecoderSession, feeds: Feeds): Promise<readonly Float32Array[]> => {
  const answers: Float32Array[] = [];
  for (const { prompt, next } of cases) {
    const cache = session.newCache(prompt.length + 1);
    await session.prepare(feeds, prompt, cache, [prompt.length - 1])();
    answers.push((await session.prepare(feeds, [next], cache, [0])()).slice());
    cache.release();
  }
  return answers;
};

/** Logits of all cases in one step that feeds `decode`; their prompts by themselves before it, with `fills`. */
const together = async (
  { lora }: Graphs,
  fills: readonly Feeds[],
  decode: Feeds,
): Promise<readonly Float32Array[]> => {
  const kv = lora.newRows({ rows: cases.length, capacity: 16 });
  if (kv === undefined) return [];
  try {
    for (const [row, { prompt }] of cases.entries()) {
      const feeds = fills[row];
      if (feeds === undefined) return [];
      await lora.prepare(feeds, prompt, new RowCache(kv, row), [prompt.length - 1])();
    }
    const span = kv.span(0, cases.length);
    const step = {
      ids: cases.map(({ next }) => [next]),
      before: cases.map(({ prompt }) => prompt.length),
    };
    const logits = await lora.prepareRows(decode, step, { past: span, present: span }, [0])();
    return cases.map((_, row) => logits.slice(row * lora.vocabSize, (row + 1) * lora.vocabSize));
  } finally {
    kv.release();
  }
};

/**
 * True when each row is near what its adapter gives for its tokens by itself, and far from everything else. `alones`: by
 * adapter, for the tokens of each row; `adapterOf` is the number of a row's adapter, unless told otherwise that of the row.
 */
export const eachIsItsOwn = (
  rows: readonly Float32Array[],
  alones: readonly (readonly Float32Array[])[],
  adapterOf: (row: number) => number = (row) => row,
): boolean =>
  rows.length > 0 &&
  rows.every((row, at) => {
    const own = distance(row, alones[adapterOf(at)]?.[at] ?? new Float32Array(0));
    const others = alones.flatMap((answers, adapter) =>
      answers
        .filter((_, of) => adapter !== adapterOf(at) || of !== at)
        .map((answer) => distance(row, answer)),
    );
    return own <= maxShare * Math.min(...others);
  });

/** Each row with its own adapter, by copies; then all with the first one, fed once. */
const rowsAreTheirOwn = async (graphs: Graphs): Promise<boolean> => {
  const { lora } = graphs;
  using first = new Perturbation(lora.sites, 2, strength);
  using second = new Perturbation(lora.sites, 3, strength);
  const adapters = [first, second, null];
  const bytes = lora.sites.reduce((sum, site) => sum + site.inFeatures + site.outFeatures + 32, 0);
  const copies = new AdapterRows(lora, {
    sites: lora.sites,
    rows: cases.length,
    budgetBytes: 16 * cases.length * bytes,
  });
  const feeds = adapters.map((adapter) => lora.feeds(adapter?.tensors() ?? new Map()));
  try {
    const alones: (readonly Float32Array[])[] = [];
    for (const own of feeds) alones.push(await alone(lora, own));
    if (!eachIsItsOwn(await together(graphs, feeds, copies.feeds(0, adapters)), alones)) return false;
    const [one] = feeds;
    if (one === undefined) return false;
    const rows = await together(
      graphs,
      cases.map(() => one),
      one,
    );
    return eachIsItsOwn(rows, alones, () => 0);
  } finally {
    for (const own of feeds) own.release();
    copies.release();
  }
};

/**
 * Proves once per graph that rows of different lengths and adapters can run in one step: each gives what its adapter gives
 * for its tokens by itself. False where a graph takes one sequence at a time, or does not pass. The verdict is kept in
 * `cacheDir`.
 */
export const proveRows = async (
  graphs: Graphs,
  options: {
    readonly graphDigest: string;
    readonly cacheDir: string;
    readonly warn: (message: string) => void;
  },
): Promise<boolean> => {
  const rows = graphs.lora.newRows({ rows: 1, capacity: 1 });
  rows?.release();
  if (rows === undefined) return false;
  const verdict = join(options.cacheDir, 'rows', options.graphDigest);
  if (existsSync(verdict)) return true;
  try {
    if (await rowsAreTheirOwn(graphs)) {
      await writeDurable(verdict, 'rows of different lengths and adapters are their own\n');
      return true;
    }
    options.warn('rows that run together differ from rows by themselves: requests run one by one');
  } catch (error) {
    options.warn(`rows cannot run together, requests run one by one: ${String(error)}`);
  }
  return false;
};
