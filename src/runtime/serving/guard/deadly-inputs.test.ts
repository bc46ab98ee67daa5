import { setImmediate } from 'node:timers/promises';
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
    return inputs.engineDied().isOfInput;
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

  it('is not refused of a credential because somebody without one used its name', () => {
    const { inputs } = start();
    const by = (caller?: string) =>
      new Input(
        { namespace: 'n', model: 'm', user: 'app', headers: new Map(), ...(caller ? { caller } : {}) },
        'bad',
      );
    for (let time = 0; time < 2; time += 1) {
      inputs.given(by(), one);
      inputs.engineDied();
    }
    expect(() => inputs.check(by())).toThrow(/INPUT_ENDS_ENGINE|refused/);
    expect(() => inputs.check(by('n/app'))).not.toThrow();
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

it('namespaces that may have ended it are those of inputs that did before, if any were there', () => {
  const { inputs } = start();
  const given = (text: string, namespace: string) =>
    inputs.given(new Input({ namespace, model: 'm', headers: new Map() }, text), one);
  given('bad', 'a');
  given('fine', 'b');
  expect(inputs.engineDied().suspects).toEqual(new Set(['a', 'b']));
  given('bad', 'a');
  given('new', 'c');
  expect(inputs.engineDied().suspects).toEqual(new Set(['a']));
  expect(inputs.engineDied().suspects).toEqual(new Set());
});

describe('suspects', () => {
  const never = new AbortController().signal;
  /** Which of these have their turn by now. */
  const turnsOf = (inputs: DeadlyInputs, ...texts: readonly string[]) => {
    const having: string[] = [];
    const ends = texts.map(async (text) => {
      const end = await inputs.turn(input(text), never);
      having.push(text);
      return end;
    });
    return { having, ends };
  };

  it('come back one at a time, so that the one that ends the engine again is known; others wait for nobody', async () => {
    const { inputs, dies, isRefused } = start();
    dies(['fine', one], ['bad', one], ['fine too', other]);
    const { having, ends } = turnsOf(inputs, 'fine', 'bad', 'fine too', 'new');
    await setImmediate();
    expect(having).toEqual(['new', 'fine']);
    inputs.answered(input('fine'));
    (await ends[0]!)();
    await setImmediate();
    expect(having).toEqual(['new', 'fine', 'bad']);
    dies(['bad', one], ['new', one]);
    (await ends[1]!)();
    await setImmediate();
    expect(having).toEqual(['new', 'fine', 'bad', 'fine too']);
    expect(['fine', 'bad', 'fine too', 'new'].map((text) => isRefused(text))).toEqual([
      false,
      true,
      false,
      false,
    ]);
  });

  it('are refused when their turn comes, where they ended the engine meanwhile', async () => {
    const { inputs, dies } = start();
    dies(['bad', one]);
    const first = await inputs.turn(input('bad'), never);
    const second = inputs.turn(input('bad'), never);
    dies(['bad', one]);
    first();
    await expect(second).rejects.toMatchObject({ code: 'INPUT_ENDS_ENGINE' });
  });

  it('that leave keep nobody waiting', async () => {
    const { inputs, dies } = start();
    dies(['a', one], ['b', one], ['c', one]);
    const first = await inputs.turn(input('a'), never);
    const leaving = new AbortController();
    const second = inputs.turn(input('b'), leaving.signal);
    const third = inputs.turn(input('c'), never);
    leaving.abort(new Error('left'));
    await expect(second).rejects.toThrow('left');
    first();
    expect(await third).toBeTypeOf('function');
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
