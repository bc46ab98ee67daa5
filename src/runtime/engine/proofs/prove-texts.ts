import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurable } from '../../../disk/durable.ts';
import type { Feeds } from '../adapters/feeds.ts';
import type { EncoderSession, EncoderValues } from '../session/encoder-session.ts';
import { Perturbation } from './perturbation.ts';
import { eachIsItsOwn, strength } from './row-answers.ts';
import type { ProofOptions } from './wiring.ts';

/** Of different lengths, by tokens that every vocabulary has. */
const texts: readonly (readonly number[])[] = [
  [3, 5, 7, 11],
  [17, 3, 13, 5, 11, 7, 2],
  [13, 2],
];

const outputsOf = (session: EncoderSession): readonly string[] =>
  Object.values(session.outputs).filter((name) => name !== undefined);

/** What one text gets of all outputs, without padding. */
const partOf = (results: readonly EncoderValues[], row: number, length: number): Float32Array =>
  Float32Array.from(
    results.flatMap(({ values, shape, perText }) => {
      const [, tokens = 1] = shape;
      const used = shape.length === 3 ? (perText / tokens) * length : perText;
      return [...values.subarray(row * perText, row * perText + used)];
    }),
  );

const together = async (session: EncoderSession, feeds: Feeds): Promise<readonly Float32Array[]> => {
  const results = await session.encode(feeds, texts, outputsOf(session));
  return texts.map((ids, row) => partOf(results, row, ids.length));
};

/** What each text gives by itself, with one adapter. */
export const alone = async (session: EncoderSession, feeds: Feeds): Promise<readonly Float32Array[]> => {
  const answers: Float32Array[] = [];
  for (const ids of texts) answers.push(await session.logitsOf(feeds, ids));
  return answers;
};

const textsAreTheirOwn = async (session: EncoderSession): Promise<boolean> => {
  const { sites } = session;
  const mixed = session.mixed();
  if (mixed === undefined) return false;
  using first = new Perturbation(sites, 2, strength);
  using second = new Perturbation(sites, 3, strength);
  const feeds = [first.pairs, second.pairs, new Map()].map((pairs) => session.feeds(pairs));
  try {
    const alones: (readonly Float32Array[])[] = [];
    for (const own of feeds) alones.push(await alone(session, own));
    return eachIsItsOwn(await together(session, mixed.of(feeds)), alones);
  } finally {
    for (const own of feeds) own.release();
    mixed.release();
  }
};

const verdicts = { yes: true, no: false } as const;
const isVerdict = (text: string): text is keyof typeof verdicts => Object.hasOwn(verdicts, text);

/**
 * True when texts that run together can each have an adapter of its own: proved once per graph, by what the same adapters give for
 * each text by itself. The verdict is kept in `cacheDir`.
 */
export const proveTexts = async (
  session: EncoderSession,
  { key, cacheDir, doing }: ProofOptions,
): Promise<boolean> => {
  const file = join(cacheDir, 'texts', key);
  const known = existsSync(file) ? readFileSync(file, 'utf8') : '';
  if (isVerdict(known)) return verdicts[known];
  doing('proving that texts of different adapters can run together, once');
  const passes = await textsAreTheirOwn(session);
  await writeDurable(file, passes ? 'yes' : 'no');
  return passes;
};
