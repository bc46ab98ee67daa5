import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Feeds } from '../adapters/feeds.ts';
import type { ProbeResult } from '../engine.ts';
import type { DecoderSession } from './decoder-session.ts';

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

/** Logits of the fixed input at every position. */
export const probeLogits = async (session: DecoderSession, feeds: Feeds): Promise<Float32Array> => {
  const ids = probeIds(session.vocabSize);
  return await session.logitsOf(feeds, ids, [...ids.keys()]);
};
