import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurable } from '../../../disk/durable.ts';
import type { Site } from '../../compiled/compile-target.ts';
import { AdapterRows } from '../adapters/adapter-rows.ts';
import type { Feeds } from '../adapters/feeds.ts';
import { isInLayer } from '../onnx/inject.ts';
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

/** Where a verdict says that texts of different adapters can run together. */
const verdicts = {
  everywhere: () => true,
  /** A pooler takes one vector of each text: its input has no dimension left for a pair of its own. */
  layers: ({ module }: Site) => isInLayer(module),
  nowhere: () => false,
} as const;
type Verdict = keyof typeof verdicts;

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

const textsAreTheirOwn = async (session: EncoderSession, sites: readonly Site[]): Promise<boolean> => {
  if (sites.length === 0) return false;
  using first = new Perturbation(sites, 2, strength);
  using second = new Perturbation(sites, 3, strength);
  const adapters = [first, second, null];
  const bytes = sites.reduce((sum, site) => sum + site.inFeatures + site.outFeatures + 32, 0);
  const rows = new AdapterRows(session, {
    sites,
    rows: texts.length,
    budgetBytes: 16 * texts.length * bytes,
  });
  const alones: (readonly Float32Array[])[] = [];
  for (const adapter of adapters) {
    const feeds = session.feeds(adapter?.tensors() ?? new Map());
    alones.push(await alone(session, feeds).finally(() => feeds.release()));
  }
  try {
    return eachIsItsOwn(await together(session, rows.feeds(0, adapters)), alones);
  } catch {
    // A shape that does not fit: the graph has no place for a pair per text there.
    return false;
  } finally {
    rows.release();
  }
};

const verdictOf = async (session: EncoderSession): Promise<Verdict> => {
  for (const verdict of ['everywhere', 'layers'] as const) {
    if (await textsAreTheirOwn(session, session.sites.filter(verdicts[verdict]))) return verdict;
  }
  return 'nowhere';
};

const isVerdict = (text: string): text is Verdict => Object.hasOwn(verdicts, text);

/**
 * The linears at which texts that run together can each have an adapter of its own: proved once per graph, by what the same
 * adapters give for each text by itself. The verdict is kept in `cacheDir`.
 */
export const mixedSites = async (
  session: EncoderSession,
  { key, cacheDir, doing }: ProofOptions,
): Promise<readonly Site[]> => {
  const file = join(cacheDir, 'texts', key);
  const known = existsSync(file) ? readFileSync(file, 'utf8') : '';
  if (!isVerdict(known)) doing('proving that texts of different adapters can run together, once');
  const verdict = isVerdict(known) ? known : await verdictOf(session);
  if (verdict !== known) await writeDurable(file, verdict);
  return session.sites.filter(verdicts[verdict]);
};
