import { describe, expect, it } from 'vitest';
import { Choice } from '../sampling/choice.ts';
import { PromptEcho } from './prompt-echo.ts';

const vocabSize = 4;
const describeToken = (id: number) => ({ token: `t${id}`, bytes: [97 + id] });
const logprobs = { top: 1, describe: describeToken, choice: new Choice() };
const echoOf = (ids: readonly number[], text?: string): PromptEcho =>
  new PromptEcho({ ids, text, logprobs, describe: describeToken });

/** Logits of so many tokens, the most of which is that of the token named. */
const likely = (...ids: readonly number[]): Float32Array =>
  Float32Array.from(ids.flatMap((id) => Array.from({ length: vocabSize }, (_, at) => (at === id ? 9 : 0))));

describe('what is told of a prompt', () => {
  it('is each of its tokens once, in whatever pieces it is computed, and again', () => {
    const ids = [0, 1, 2, 3, 0, 1];
    const next = likely(...ids.slice(1), 2);
    const piece = (from: number, to: number): Float32Array => next.subarray(from * vocabSize, to * vocabSize);
    const whole = echoOf(ids);
    whole.took(0, piece(0, 6), vocabSize);
    for (const cuts of [
      [0, 2, 4, 6],
      [0, 5, 6],
      [0, 1, 6],
    ]) {
      const parts = echoOf(ids);
      for (const [at, from] of cuts.slice(0, -1).entries())
        parts.took(from, piece(from, cuts[at + 1]!), vocabSize);
      // A sequence that made way is computed again, from anywhere, with its answer behind it.
      parts.took(0, piece(0, 3), vocabSize);
      parts.took(3, likely(3, 0, 1, 2, 2, 2), vocabSize);
      expect(parts.whole).toEqual(whole.whole);
    }
    const { text, tokens } = whole.whole;
    expect(text).toBe('abcdab');
    expect(tokens!.map(({ id }) => id)).toEqual(ids);
    expect(tokens![0]).toEqual({ id: 0, token: 't0', bytes: [97] });
    // exp(9) of exp(9) + 3.
    const expected = 9 - Math.log(Math.exp(9) + 3);
    for (const token of tokens!.slice(1))
      expect('logprob' in token && token.logprob).toBeCloseTo(expected, 6);
  });

  it('has its own text where it came as one', () => {
    expect(echoOf([0], 'x').whole.text).toBe('x');
  });

  it.each([NaN, Infinity])('is refused where a logit is %s', (bad) => {
    const logits = likely(1, 2);
    logits[3] = bad;
    expect(() => echoOf([0, 1, 2]).took(0, logits, vocabSize)).toThrow(
      expect.objectContaining({ code: 'LOGITS_NOT_FINITE' }),
    );
  });

  it('is computed in pieces whose logits take 8 MiB at most', () => {
    expect(echoOf([0]).piece(262_144)).toBe(8);
    expect(echoOf([0]).piece(2 ** 30)).toBe(1);
    const unscored = new PromptEcho({ ids: [0], text: 'x', logprobs: undefined, describe: describeToken });
    expect(unscored.piece(262_144)).toBe(Infinity);
    expect(unscored.whole).toEqual({ text: 'x' });
  });
});
