import type { FinishReason } from '../../src/runtime/engine/engine.ts';

/** What came of a request: all of its answer, or the beginning of one that was cancelled or lost. */
export type Received = {
  readonly ids: readonly number[];
  readonly text: string;
  /** Absent: the answer did not come to its end. */
  readonly finish?: FinishReason;
};

/** The answer that the same adapter gives alone, to at least as many tokens. */
export type Alone = Required<Received>;

/** How the likelihood of two tokens compares: see distance.ts. */
export type Distance = (at: number, got: number, expected: number) => Promise<number>;

export type Verdict =
  | { readonly kind: 'same' }
  /** The two differ from token `at` on, where the one that came was as good as taken. */
  | { readonly kind: 'nearTie'; readonly at: number; readonly distance: number }
  | { readonly kind: 'different'; readonly at: number; readonly distance: number; readonly why: string };

export type CompareOptions = {
  readonly maxTokens: number;
  /** Largest distance of a near tie, in nats. */
  readonly epsilon: number;
  readonly distance: Distance;
};

const firstDifference = (a: readonly number[], b: readonly number[]): number => {
  const at = a.findIndex((id, index) => id !== b[index]);
  return at < 0 ? a.length : at;
};

const different = (at: number, why: string, distance = Infinity): Verdict => ({
  kind: 'different',
  at,
  distance,
  why,
});

/** All tokens are equal: the end and the text must be as well. */
const compareEnds = (received: Received, alone: Alone, maxTokens: number): Verdict => {
  const { ids, finish, text } = received;
  if (finish === undefined) return { kind: 'same' };
  const expectedLength = Math.min(maxTokens, alone.ids.length);
  if (ids.length !== expectedLength)
    return different(ids.length, `it ended after ${ids.length} tokens, not ${expectedLength}`);
  const isWhole = alone.ids.length <= maxTokens;
  const expectedFinish = isWhole ? alone.finish : 'length';
  if (finish !== expectedFinish) return different(ids.length, `it ended by ${finish}, not ${expectedFinish}`);
  // The text of a part can end within a character: only whole answers have one text.
  if (isWhole && text !== alone.text) return different(ids.length, 'its text is another one');
  return { kind: 'same' };
};

/**
 * Compares what came with the answer that its adapter gives alone: token by token, then how it ended, then the text.
 * The first token that differs decides: within `epsilon` it was a near tie, which rounding may decide either way, and
 * what follows it says nothing any more.
 */
export const compare = async (
  received: Received,
  alone: Alone,
  { maxTokens, epsilon, distance }: CompareOptions,
): Promise<Verdict> => {
  const at = firstDifference(received.ids, alone.ids);
  const [got, expected] = [received.ids[at], alone.ids[at]];
  if (got === undefined) return compareEnds(received, alone, maxTokens);
  if (expected === undefined) return different(at, 'it goes on where the other ends');
  const away = await distance(at, got, expected);
  // Written so that NaN is no near tie.
  if (away < epsilon) return { kind: 'nearTie', at, distance: away };
  return different(at, `token ${at} is ${got}, not ${expected}`, away);
};
