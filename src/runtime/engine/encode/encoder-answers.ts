import { readFileSync } from 'node:fs';
import { type AnswersOf, proofIds } from '../proofs/prove-prepared.ts';
import { EncoderSession } from '../session/encoder-session.ts';

/** Everything that an encoder graph gives for one text. */
export const encoderAnswers =
  (threads: number): AnswersOf =>
  async ({ graph, ...place }) => {
    const session = await EncoderSession.open(readFileSync(graph), [], { ...place, threads });
    const feeds = session.feeds(new Map());
    const output = await session.logitsOf(feeds, proofIds);
    feeds.release();
    session.release();
    return output;
  };
