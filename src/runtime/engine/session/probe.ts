import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Feeds } from '../adapters/feeds.ts';
import type { ProbeResult } from '../engine.ts';
import type { DecoderSession } from './decoder-session.ts';
import { showCache } from './shown-cache.ts';

/** Tokens of the fixed input. */
export const probeLength = 16;

/** The fixed input: tokens spread over the vocabulary, the same for every adapter of a base model. */
export const probeIds = (vocabSize: number): readonly number[] =>
  Array.from({ length: probeLength }, (_, index) => Math.floor(((index + 0.5) / probeLength) * vocabSize));

/** Compares logits bit by bit at every position. */
export const compareLogits = (logits: Float32Array, base: Float32Array): ProbeResult => {
  if (logits.length !== base.length) {
    throw new AdaptletError('INTERNAL', `The probe gave ${logits.length} logits, not ${base.length}`);
  }
  let finite = true;
  let maxDifference = 0;
  for (let index = 0; index < logits.length; index += 1) {
    const value = logits[index] ?? NaN;
    if (!Number.isFinite(value)) finite = false;
    maxDifference = Math.max(maxDifference, Math.abs(value - (base[index] ?? 0)));
  }
  return { finite, maxDifference: finite ? maxDifference : Infinity };
};

/** Ends of int8, which stand for all that is beyond them. */
const isClipped = (value: number): boolean => value <= -127 || value >= 127;

export type Probed = {
  /** At every position of the fixed input. */
  readonly logits: Float32Array;
  /** Share of its keys and values that do not fit int8; absent where they are stored as float32. */
  readonly clipped?: number;
};

/** What the fixed input gives. */
export const probe = async (session: DecoderSession, feeds: Feeds): Promise<Probed> => {
  const ids = probeIds(session.vocabSize);
  const wanted = [...ids.keys()];
  if (session.cacheShape.element === 'float32') return { logits: await session.logitsOf(feeds, ids, wanted) };
  let [clipped, all] = [0, 0];
  const logits = await showCache(session, feeds, { ids, wanted }, ({ values }) => {
    for (const value of values) if (isClipped(value)) clipped += 1;
    all += values.length;
  });
  return { logits, clipped: clipped / all };
};
