import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurable } from '../../../disk/durable.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Feeds } from '../adapters/feeds.ts';
import type { PositionTables } from '../onnx/position-tables.ts';
import type { DecoderSession } from '../session/decoder-session.ts';
import { Perturbation } from './perturbation.ts';
import { isItsOwn, strength, type Tolerance } from './row-answers.ts';
import type { ProofOptions } from './wiring.ts';

/** Tokens that every vocabulary has. */
const tokensOf = (length: number): readonly number[] =>
  Array.from({ length }, (_, at) => 3 + ((at * at + 7 * at + length) % 15));

/** Where a sequence ends, and where it is cut before that. */
type Cut = { readonly length: number; readonly at: readonly number[] };

/** Short ones; and across each border, with pieces that end before it, at it and behind it. */
const cutsFor = (borders: readonly number[]): readonly Cut[] => [
  { length: 5, at: [2, 4] },
  { length: 8, at: [7] },
  ...borders.map((border) => ({
    length: border + 3,
    at: [border - 1, border, border + 1].filter((at) => at > 0),
  })),
];

const inPieces = async (
  session: DecoderSession,
  feeds: Feeds,
  { length, at }: Cut,
  known: number | undefined,
): Promise<Float32Array> => {
  const cache = session.newCache(length);
  const ids = tokensOf(length);
  try {
    let logits = new Float32Array(0);
    for (const end of new Set([...at, length])) {
      const piece = ids.slice(cache.length, end);
      const run = session.prepare(feeds, piece, cache, [piece.length - 1], known ?? length);
      logits = (await run()).slice();
    }
    return logits;
  } finally {
    cache.release();
  }
};

/** Which sequence is answered differently in pieces; undefined when none is. `known`: see StepRows.lengths. */
const differing = async (
  session: DecoderSession,
  feeds: Feeds,
  cuts: readonly Cut[],
  { known, tolerance }: { readonly known: number | undefined; readonly tolerance: Tolerance },
): Promise<Cut | undefined> => {
  const atOnce: Float32Array[] = [];
  for (const { length } of cuts) atOnce.push(await inPieces(session, feeds, { length, at: [] }, known));
  for (const [index, cut] of cuts.entries()) {
    const others = atOnce.filter((_, other) => other !== index);
    const [own = new Float32Array(0)] = atOnce.slice(index);
    if (!isItsOwn(await inPieces(session, feeds, cut, known), own, others, tolerance.own)) return cut;
  }
  return undefined;
};

const verdictOf = ({ cacheDir, key }: Pick<ProofOptions, 'cacheDir' | 'key'>): string =>
  join(cacheDir, 'pieces', key);

/** True where that was proved before. */
export const isProvedInPieces = (options: Pick<ProofOptions, 'cacheDir' | 'key'>): boolean =>
  existsSync(verdictOf(options));

/**
 * Proves once that a sequence gives the same answer at once and in pieces, with an adapter where a session takes one, also across the
 * lengths `near` which the graph may change something at. The verdict is kept in `cacheDir`.
 * @throws MODEL_UNSUPPORTED
 */
export const provePieces = async (
  sessions: readonly DecoderSession[],
  options: ProofOptions & {
    readonly near: readonly number[];
    readonly tables?: PositionTables | undefined;
    readonly tolerance: Tolerance;
  },
): Promise<void> => {
  const { tables, tolerance } = options;
  if (isProvedInPieces(options)) return;
  options.doing('proving that a prompt in pieces is answered as at once, once');
  const cuts = cutsFor(options.near);
  const knowns = tables === undefined ? [undefined] : [undefined, tables.above + 1];
  for (const session of sessions) {
    using adapter = new Perturbation(session.sites, 2, strength);
    const feeds = session.feeds(adapter.pairs);
    try {
      for (const known of knowns) {
        const cut = await differing(session, feeds, cuts, { known, tolerance });
        if (cut === undefined) continue;
        throw new AdaptletError(
          'MODEL_UNSUPPORTED',
          `The graph answers ${cut.length} tokens at once and in pieces (${cut.at.join(', ')}) differently`,
        );
      }
    } finally {
      feeds.release();
    }
  }
  await writeDurable(verdictOf(options), 'a sequence in pieces is answered as at once\n');
};
