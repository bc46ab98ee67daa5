import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurable } from '../../../disk/durable.ts';
import { AdapterRows } from '../adapters/adapter-rows.ts';
import type { Feeds } from './feeds.ts';
import type { GraphSession } from './graph-session.ts';
import { RowCache } from './kv-rows.ts';
import { Perturbation } from './perturbation.ts';

/** The two graphs of a base model. */
type Graphs = { readonly base: GraphSession; readonly lora: GraphSession };

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
const mostShare = 0.5;
/** Strong ones at every linear make a deep model answer to the least rounding. */
export const strength = 0.1;

const distance = (a: Float32Array, b: Float32Array): number => {
  if (a.length !== b.length) return Infinity;
  return a.reduce((most, value, index) => Math.max(most, Math.abs(value - (b[index] ?? Number.NaN))), 0);
};

/** Logits after each case by itself, with one adapter. */
const alone = async (session: GraphSession, feeds: Feeds): Promise<readonly Float32Array[]> => {
  const answers: Float32Array[] = [];
  for (const { prompt, next } of cases) {
    const cache = session.newCache(prompt.length + 1);
    await session.prepare(feeds, prompt, cache, [prompt.length - 1])();
    answers.push((await session.prepare(feeds, [next], cache, [0])()).slice());
    cache.release();
  }
  return answers;
};

/** Logits of all cases in one step, each with its own adapter: the first two with those that are given, the last without. */
const together = async (
  { lora }: Graphs,
  adapters: readonly { readonly adapter: Perturbation | null; readonly feeds: Feeds }[],
): Promise<readonly Float32Array[]> => {
  const rows = cases.length;
  const kv = lora.newRows({ rows, capacity: 16 });
  if (kv === undefined) return [];
  const bytes = lora.sites.reduce((sum, site) => sum + site.inFeatures + site.outFeatures + 32, 0);
  const copies = new AdapterRows(lora, { sites: lora.sites, rows, budgetBytes: 16 * rows * bytes });
  try {
    for (const [row, { prompt }] of cases.entries()) {
      const { feeds } = adapters[row] ?? {};
      if (feeds === undefined) return [];
      await lora.prepare(feeds, prompt, new RowCache(kv, row), [prompt.length - 1])();
    }
    const span = kv.span(0, rows);
    const step = {
      ids: cases.map(({ next }) => [next]),
      before: cases.map(({ prompt }) => prompt.length),
    };
    const feeds = copies.feeds(
      0,
      adapters.map(({ adapter }) => adapter),
    );
    const logits = await lora.prepareRows(feeds, step, { past: span, present: span }, [0])();
    return cases.map((_, row) => logits.slice(row * lora.vocabSize, (row + 1) * lora.vocabSize));
  } finally {
    copies.release();
    kv.release();
  }
};

/**
 * True when each row is near what its adapter gives for its tokens by itself, and far from everything else. `alones`: by
 * adapter, for the tokens of each row; the adapter of a row has the number of the row.
 */
export const eachIsItsOwn = (
  rows: readonly Float32Array[],
  alones: readonly (readonly Float32Array[])[],
): boolean =>
  rows.length > 0 &&
  rows.every((row, at) => {
    const own = distance(row, alones[at]?.[at] ?? new Float32Array(0));
    const others = alones.flatMap((answers, adapter) =>
      answers.filter((_, of) => adapter !== at || of !== at).map((answer) => distance(row, answer)),
    );
    return own <= mostShare * Math.min(...others);
  });

const rowsAreTheirOwn = async (graphs: Graphs): Promise<boolean> => {
  const { lora } = graphs;
  using first = new Perturbation(lora.sites, 2, strength);
  using second = new Perturbation(lora.sites, 3, strength);
  const adapters = [first, second, null].map((adapter) => ({
    adapter,
    feeds: lora.feeds(adapter?.tensors() ?? new Map()),
  }));
  try {
    const alones: (readonly Float32Array[])[] = [];
    for (const { feeds } of adapters) alones.push(await alone(lora, feeds));
    return eachIsItsOwn(await together(graphs, adapters), alones);
  } finally {
    for (const { feeds } of adapters) feeds.release();
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
