import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurable } from '../../../disk/durable.ts';
import type { Feeds } from '../adapters/feeds.ts';
import type { PositionTables } from '../onnx/position-tables.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import { RowCache } from '../session/kv-rows.ts';
import { Perturbation } from './perturbation.ts';
import { aloneOf, type Case, cases, eachIsItsOwn, strength, type Tolerance } from './row-answers.ts';
import type { ProofOptions } from './wiring.ts';

/** Logits of a step of each case by itself, and of one step of all of them. */
type Steps = { readonly single: readonly Float32Array[]; readonly together: readonly Float32Array[] };

/** `fills` are for the prompts, `decode` for a step of `count` rows from `first` on. */
const stepsOf = async (
  lora: DecoderSession,
  asked: readonly Case[],
  fills: readonly Feeds[],
  decode: (first: number, count: number) => Feeds,
): Promise<Steps> => {
  const capacity = 1 + Math.max(...asked.map(({ prompt }) => prompt.length));
  const kv = lora.newRows({ rows: asked.length, capacity });
  if (kv === undefined) return { single: [], together: [] };
  const step = async (first: number, count: number): Promise<readonly Float32Array[]> => {
    const own = asked.slice(first, first + count);
    const span = kv.span(first, count);
    const rows = {
      ids: own.map(({ next }) => [next]),
      before: own.map(({ prompt }) => prompt.length),
      lengths: own.map(({ prompt, length }) => length ?? prompt.length + 1),
    };
    const run = lora.prepareRows(decode(first, count), rows, { past: span, present: span }, [0]);
    const logits = await run();
    return own.map((_, row) => logits.slice(row * lora.vocabSize, (row + 1) * lora.vocabSize));
  };
  try {
    for (const [row, { prompt, length }] of asked.entries()) {
      const feeds = fills[row];
      if (feeds === undefined) return { single: [], together: [] };
      const cache = new RowCache(kv, row);
      await lora.prepare(feeds, prompt, cache, [prompt.length - 1], length ?? prompt.length + 1)();
    }
    // Each writes where the step of all of them writes again.
    const single: Float32Array[] = [];
    for (const row of asked.keys()) single.push(...(await step(row, 1)));
    return { single, together: await step(0, asked.length) };
  } finally {
    kv.release();
  }
};

/** The answers by adapter with those of some rows in their place. */
const withRows = (
  alones: readonly (readonly Float32Array[])[],
  rows: readonly Float32Array[],
  adapterOf: (row: number) => number,
): readonly (readonly Float32Array[])[] =>
  alones.map((answers, adapter) =>
    answers.map((answer, row) => (adapter === adapterOf(row) ? (rows[row] ?? answer) : answer)),
  );

/** All rows with the first adapter; then, where the graph takes that, each with its own. */
const rowsAreTheirOwn = async (
  lora: DecoderSession,
  asked: readonly Case[],
  tolerance: Tolerance,
): Promise<boolean> => {
  using first = new Perturbation(lora.sites, 2, strength);
  using second = new Perturbation(lora.sites, 3, strength);
  const adapters = [first, second, null];
  const mixed = lora.mixed();
  const feeds = adapters.map((adapter) => lora.feeds(adapter?.pairs ?? new Map()));
  try {
    const alones: (readonly Float32Array[])[] = [];
    for (const own of feeds) alones.push(await aloneOf(asked)(lora, own));
    const passes = ({ single, together }: Steps, adapterOf: (row: number) => number): boolean =>
      eachIsItsOwn(single, alones, adapterOf, tolerance.copies) &&
      eachIsItsOwn(together, withRows(alones, single, adapterOf), adapterOf, tolerance.own);
    const [one] = feeds;
    if (one === undefined) return false;
    const fills = asked.map(() => one);
    if (!passes(await stepsOf(lora, asked, fills, () => one), () => 0)) return false;
    if (mixed === undefined) return true;
    const each = (from: number, count: number): Feeds => mixed.of(feeds.slice(from, from + count));
    return passes(await stepsOf(lora, asked, feeds, each), (row) => row);
  } finally {
    for (const own of feeds) own.release();
    mixed?.release();
  }
};

/**
 * Where a graph has two tables of positions: rows with the one beside rows with the other, each both ways. Where it changes something
 * at a length: one row beyond it, the others not.
 */
const rounds = (
  tables: PositionTables | undefined,
  near: readonly number[],
): readonly (readonly Case[])[] => {
  const [first, ...others] = cases;
  const beyond = Math.max(0, ...near) + 1;
  const prompt = Array.from({ length: beyond }, (_, at) => 3 + ((at * at + 5 * at) % 15));
  const across = first === undefined || beyond === 1 ? [] : [[{ ...first, prompt }, ...others]];
  if (tables === undefined) return [cases, ...across];
  const long = tables.above + 1;
  const sides = [0, 1].map((side) =>
    cases.map((asked, row) => (row % 2 === side ? { ...asked, length: long } : asked)),
  );
  return [...sides, ...across];
};

/**
 * Proves once that rows of different lengths, adapters and tables of positions can run in one step: each gives what it gives in a
 * step by itself. False where a graph takes one sequence at a time, or does not pass. The verdict is kept in `cacheDir`.
 */
export const proveRows = async (
  lora: DecoderSession,
  options: ProofOptions & {
    readonly tables?: PositionTables | undefined;
    /** Lengths at which the graph may change something. */
    readonly near: readonly number[];
    readonly tolerance: Tolerance;
    readonly warn: (message: string) => void;
  },
): Promise<boolean> => {
  if (!lora.inPlace) {
    options.warn(
      'requests run one by one: keys and values do not stay where they are, with this graph on this provider',
    );
    return false;
  }
  const verdict = join(options.cacheDir, 'rows', options.key);
  if (existsSync(verdict)) return true;
  options.doing('proving that requests of different adapters can run together, once');
  try {
    for (const asked of rounds(options.tables, options.near)) {
      if (await rowsAreTheirOwn(lora, asked, options.tolerance)) continue;
      const why = lora.padded && !lora.positions ? ': the graph has no input position_ids' : '';
      options.warn(`requests run one by one: rows that run together differ from rows by themselves${why}`);
      return false;
    }
    await writeDurable(verdict, 'rows of different lengths and adapters are their own\n');
    return true;
  } catch (error) {
    options.warn(`requests run one by one: rows cannot run together: ${String(error)}`);
    return false;
  }
};
