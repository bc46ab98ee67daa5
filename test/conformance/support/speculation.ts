import { expect } from 'vitest';
import type { GenerateInput } from '../../../src/runtime/engine/engine.ts';
import { seededRandom } from '../../../src/runtime/engine/random.ts';
import { FakeClock } from '../../../src/time/fake-clock.ts';
import { aroundSteps, endless, type HostAnswer } from './host.ts';
import { tinyAdapters } from './tiny.ts';

/** Difference of log probabilities below which rounding may decide (ADR 22). */
export const nearTie = { fp32: 0.001, int4: 0.5 } as const;

/** Steps on a clock by which drafts pay wherever they are likely, and are the same in every run. */
export class TimedSteps {
  readonly clock = new FakeClock();
  /** Rows, and tokens of each, of the steps that ran. */
  readonly ran: { readonly rows: number; readonly tokens: number }[] = [];
  /** Told how many tokens of a row there are after a step that runs next. */
  onStep: (tokens: number) => void = () => undefined;
  /** The next step of several tokens that goes on from others fails. */
  failNext = false;
  readonly restore: () => void;

  constructor() {
    this.restore = aroundSteps((given, prepare) => {
      const run = prepare(given);
      const [, { ids, before }] = given;
      const [{ length: tokens } = []] = ids;
      return async () => {
        this.onStep((before[0] ?? 0) + tokens);
        const logits = await run();
        this.ran.push({ rows: ids.length, tokens });
        // 10 ms, and 1 ms for each token.
        this.clock.advance(10 + tokens);
        if (!this.failNext || tokens === 1 || before[0] === 0) return logits;
        this.failNext = false;
        throw new Error('broken');
      };
    });
  }
}

/** Token by token. */
export const plain = (input: GenerateInput): GenerateInput => ({ ...input, speculate: false });

/** Text that says things again and again, some of it a little differently. */
export const textOf = (random: () => number): string => {
  const words = ['moon: ', 'fish: ', 'star: ', 'red ', 'dog: ', 'x', 'moonfish '];
  const pick = (): string => words[Math.floor(random() * words.length)]!;
  const phrase = pick() + pick() + pick();
  return Array.from({ length: 4 }, () => phrase + (random() < 0.5 ? pick() : '')).join('');
};

export const adapters = [null, ...tinyAdapters];
export const askOf = (seed: number, more: Partial<GenerateInput> = {}): GenerateInput => {
  const random = seededRandom(seed);
  return endless(adapters[seed % adapters.length]!, textOf(random), 40, { logprobs: 4, ...more });
};

/** The same tokens, or until two that are about as likely. */
export const expectSame = (got: HostAnswer, expected: HostAnswer, near: number, what: string): void => {
  const at = expected.ids.findIndex((id, index) => got.ids[index] !== id);
  if (at < 0) {
    expect(got.ids, what).toEqual(expected.ids);
    expect(got.text, what).toBe(expected.text);
    expect(got.done.completionTokens).toBe(expected.done.completionTokens);
    for (const [index, { logprob, top }] of got.logprobs.entries()) {
      const other = expected.logprobs[index]!;
      expect(Math.abs(logprob - other.logprob), `${what}, token ${index}`).toBeLessThan(near);
      if (near < 0.01) expect(top.map(({ id }) => id)).toEqual(other.top.map(({ id }) => id));
    }
    return;
  }
  const { logprob, top } = expected.logprobs[at]!;
  const instead = top.find(({ id }) => id === got.ids[at])?.logprob ?? -Infinity;
  expect(logprob - instead, `${what}, token ${at}`).toBeLessThan(near);
};
