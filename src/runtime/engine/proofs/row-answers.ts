import type { Feeds } from '../adapters/feeds.ts';
import type { PositionTables } from '../onnx/position-tables.ts';
import type { DecoderSession } from '../session/decoder-session.ts';

/** Tokens that every vocabulary has, and the token after them; `length`: see StepRows. */
export type Case = {
  readonly prompt: readonly number[];
  readonly next: number;
  readonly length?: number | undefined;
};

/** Prompts of different lengths. */
export const cases: readonly Case[] = [
  { prompt: [3, 5, 7, 11], next: 13 },
  { prompt: [17, 3, 13, 5, 11, 7, 2], next: 11 },
  { prompt: [13, 2], next: 5 },
];

/** The same with each of the tables of positions that a graph has. */
export const casesWith = (tables: PositionTables | undefined): readonly Case[] =>
  tables === undefined
    ? cases
    : [...cases, ...cases.map((asked) => ({ ...asked, length: tables.above + 1 }))];

/** Strong adapters at every linear make a deep model answer to the least rounding. */
export const strength = 0.1;

/** How far an answer may be from its own, as a share of how far the next other answer is. */
export type Tolerance = {
  readonly own: number;
  /** From that of the same adapter by itself, which is multiplied in another shape than its copy in a row. */
  readonly copies: number;
};

/**
 * Steps of another shape round differently, which activations of 8 bits amplify. Measured are 0.000003 in float32; in int4, on
 * SmolLM2, 0.10, and 0.24 for copies (docs/adr/0039). An answer with a part of another one in it is further away.
 */
export const tolerances = {
  exact: { own: 0.01, copies: 0.01 },
  rounded: { own: 0.25, copies: 0.5 },
} as const satisfies Readonly<Record<string, Tolerance>>;

/** The largest difference of two answers; NaN where one is no number, Infinity where they are not of one length. */
export const distance = (a: Float32Array, b: Float32Array): number => {
  if (a.length !== b.length) return Infinity;
  return a.reduce((max, value, index) => Math.max(max, Math.abs(value - (b[index] ?? Number.NaN))), 0);
};

/** True when an answer is near its own, and far from all others. */
export const isItsOwn = (
  answer: Float32Array,
  own: Float32Array,
  others: readonly Float32Array[],
  share: number,
): boolean => distance(answer, own) <= share * Math.min(...others.map((other) => distance(answer, other)));

/**
 * True when each row is near what its adapter gives for its tokens by itself, and far from everything else. `alones`: by
 * adapter, for the tokens of each row; `adapterOf` is the number of a row's adapter, unless told otherwise that of the row.
 */
export const eachIsItsOwn = (
  rows: readonly Float32Array[],
  alones: readonly (readonly Float32Array[])[],
  adapterOf: (row: number) => number = (row) => row,
  share: number = tolerances.rounded.own,
): boolean =>
  rows.length > 0 &&
  rows.every((row, at) => {
    const others = alones.flatMap((answers, adapter) =>
      answers.filter((_, of) => adapter !== adapterOf(at) || of !== at),
    );
    return isItsOwn(row, alones[adapterOf(at)]?.[at] ?? new Float32Array(0), others, share);
  });

/** Logits after each case by itself, with one adapter. */
export const aloneOf =
  (asked: readonly Case[]) =>
  async (session: DecoderSession, feeds: Feeds): Promise<readonly Float32Array[]> => {
    const answers: Float32Array[] = [];
    for (const { prompt, next, length } of asked) {
      const cache = session.newCache(prompt.length + 1);
      await session.prepare(feeds, prompt, cache, [prompt.length - 1], length ?? prompt.length + 1)();
      answers.push((await session.prepare(feeds, [next], cache, [0], length)()).slice());
      cache.release();
    }
    return answers;
  };
