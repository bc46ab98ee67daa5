import { describe, expect, it } from 'vitest';
import type { Digest } from '../../../api/names.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { DeadlyInputs, Input } from './deadly-inputs.ts';

const [one, other] = ['a', 'b'].map((letter) => `sha256:${letter.repeat(64)}` as Digest) as [Digest, Digest];
const input = (text: string, user = 'u') =>
  new Input({ namespace: 'n', model: 'm', user, headers: new Map() }, { prompt: { kind: 'text', text } });

const start = () => {
  const clock = new FakeClock();
  const inputs = new DeadlyInputs(clock);
  /** The engine ends while it has these, and has not begun to answer them. */
  const dies = (...given: readonly [string, Digest, string?][]): boolean => {
    for (const [text, version, user] of given) inputs.given(input(text, user), version);
    return inputs.engineDied();
  };
  const isRefused = (text: string, user?: string): boolean => {
    try {
      inputs.check(input(text, user));
      return false;
    } catch {
      return true;
    }
  };
  return { clock, inputs, dies, isRefused };
};

describe('an input that ends the engine', () => {
  it('is refused the third time, with what happened and when it may be tried again', () => {
    const { inputs, dies, isRefused } = start();
    dies(['bad', one]);
    expect(isRefused('bad')).toBe(false);
    dies(['bad', one]);
    expect(() => inputs.check(input('bad'))).toThrow(
      expect.objectContaining({
        code: 'INPUT_ENDS_ENGINE',
        message: expect.stringMatching(/ended 2 times .* refused for 10 minutes/),
        retryAfterMs: 600_000,
      }),
    );
  });

  it('is refused of the caller who sent it, and nothing else of that one', () => {
    const { dies, isRefused } = start();
    for (let time = 0; time < 2; time += 1) dies(['bad', one, 'u1']);
    expect([isRefused('bad', 'u1'), isRefused('bad', 'u2'), isRefused('good', 'u1')]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it('is refused for a while', () => {
    const { clock, dies, isRefused } = start();
    for (let time = 0; time < 2; time += 1) dies(['bad', one]);
    clock.advance(599_999);
    expect(isRefused('bad')).toBe(true);
    clock.advance(1);
    expect(isRefused('bad')).toBe(false);
    // It begins anew.
    dies(['bad', one]);
    expect(isRefused('bad')).toBe(false);
  });

  it('is no version that did it, once it did so for another one', () => {
    const { dies } = start();
    expect(dies(['bad', one], ['fine', other])).toBe(false);
    expect(dies(['bad', one])).toBe(false);
    expect(dies(['bad', other])).toBe(true);
  });

  it('that is there for several versions at once says nothing about any of them', () => {
    const { dies, isRefused } = start();
    expect(dies(['bad', one], ['bad', other], ['bad', one])).toBe(false);
    expect(isRefused('bad')).toBe(false);
  });
});

describe('an input that is not to blame', () => {
  it('was answered between two ends', () => {
    const { inputs, dies, isRefused } = start();
    for (let time = 0; time < 5; time += 1) {
      dies(['good', one]);
      inputs.answered(input('good'));
    }
    expect(isRefused('good')).toBe(false);
  });

  it('had begun to be answered, or had left', () => {
    const { inputs, isRefused } = start();
    for (let time = 0; time < 3; time += 1) {
      inputs.given(input('good'), one)();
      inputs.engineDied();
    }
    expect(isRefused('good')).toBe(false);
  });

  it('is the one that ended it longest ago, where there are too many to remember', () => {
    const { dies, isRefused } = start();
    for (let time = 0; time < 2; time += 1) dies(['first', one]);
    for (let count = 0; count < 999; count += 1) dies([`${count}`, one]);
    expect(isRefused('first')).toBe(true);
    dies(['last', one]);
    expect(isRefused('first')).toBe(false);
  });
});
