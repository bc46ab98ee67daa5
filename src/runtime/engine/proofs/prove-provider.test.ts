import { describe, expect, it } from 'vitest';
import { type Answers, compareAnswers } from './prove-provider.ts';

/** Two adapters beside the base model, three inputs: answers that are all far from each other. */
const expected: Answers = [0, 1, 2].map((adapter) =>
  [0, 1, 2].map((input) =>
    Float32Array.from({ length: 9 }, (_, at) => (at === 3 * adapter + input ? 10 : 0)),
  ),
);
const changed = (change: (value: number, adapter: number, input: number, at: number) => number): Answers =>
  expected.map((answers, adapter) =>
    answers.map((answer, input) => answer.map((value, at) => change(value, adapter, input, at))),
  );

describe('answers of a provider', () => {
  it('may be rounded differently: the largest difference is told as a part of the range', () => {
    expect(compareAnswers(expected, expected)).toBe(0);
    expect(
      compareAnswers(
        changed((value) => value + 0.1),
        expected,
      ),
    ).toBeCloseTo(0.01);
  });

  it('are refused when one number of one answer is wrong, or is none', () => {
    const wrong = changed((value, adapter, input, at) => (adapter + input + at === 0 ? value + 1 : value));
    expect(() => compareAnswers(wrong, expected)).toThrow(/differ by 10.0 % of their range/);
    const none = changed((value, adapter, input, at) => (adapter + input + at === 12 ? NaN : value));
    expect(() => compareAnswers(none, expected)).toThrow(/no numbers/);
    const cut = expected.map((answers) => answers.map((answer) => answer.slice(1)));
    expect(() => compareAnswers(cut, expected)).toThrow(/no numbers/);
  });

  it('are refused when they are those of another adapter or input, also where all answers are near each other', () => {
    const near = changed((value) => 100 + value / 100).map((answers) =>
      answers.map((answer) => Float32Array.of(...answer, 0)),
    );
    expect(compareAnswers(near, near)).toBe(0);
    const [base = [], first = [], second = []] = near;
    expect(() => compareAnswers([base, second, first], near)).toThrow(/mixed up/);
    expect(() => compareAnswers([base, first.toReversed(), second], near)).toThrow(/mixed up/);
  });
});
