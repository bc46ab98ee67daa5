import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Digest } from '../../../api/names.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { DeadlyInputs, Input } from './deadly-inputs.ts';

const [one, other] = ['a', 'b'].map((letter) => `sha256:${letter.repeat(64)}` as Digest) as [Digest, Digest];
const stable = (digest: Digest) => ({ digest, arm: 'stable' }) as const;
const input = (text: string, user = 'u') =>
  new Input({ namespace: 'n', model: 'm', user, headers: new Map() }, { prompt: { kind: 'text', text } });
const never = new AbortController().signal;

/** A request that the engine has, and how many events of each of its answers it sent; absent: it waits there. */
type Running = {
  readonly text: string;
  readonly version?: Digest;
  readonly user?: string;
  readonly sent?: readonly number[];
};

const start = () => {
  const clock = new FakeClock();
  const inputs = new DeadlyInputs(clock);
  let requests = 0;
  const dies = (...running: readonly Running[]) => {
    const work = new Map<string, { engineName: string; events: number }>();
    for (const { text, version = one, user, sent = [] } of running) {
      requests += 1;
      const ids = Array.from({ length: Math.max(1, sent.length) }, (_, at) => `${requests}-${at}`);
      inputs.given(input(text, user), stable(version), ids);
      for (const [at, events] of sent.entries())
        if (events >= 0) work.set(ids[at] ?? '', { engineName: version === one ? 'one' : 'other', events });
    }
    return inputs.engineDied(work);
  };
  const isRefused = (text: string, user?: string): boolean => {
    try {
      inputs.check(input(text, user));
      return false;
    } catch {
      return true;
    }
  };
  /** Those of these texts that have their turn by now, and what ends it. */
  const turnsOf = (...texts: readonly string[]) => {
    const having: string[] = [];
    const ends = texts.map(async (text) => {
      const end = await inputs.turn(input(text), never);
      having.push(text);
      return end;
    });
    return { having, ends };
  };
  return { clock, inputs, dies, isRefused, turnsOf };
};

const texts = (count: number): readonly string[] => Array.from({ length: count }, (_, at) => `${at}`);

describe('an input that ends the engine', () => {
  it.each([
    ['its prompt', 0],
    ['a late token of its answer', 500],
  ])('with %s is refused the third time, with what happened and when it may be tried again', (_, events) => {
    const { inputs, dies, isRefused } = start();
    dies({ text: 'bad', sent: [events] });
    expect(isRefused('bad')).toBe(false);
    dies({ text: 'bad', sent: [events] });
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
    for (let time = 0; time < 2; time += 1) dies({ text: 'bad', user: 'u1', sent: [3] });
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
      inputs.given(by(), stable(one), ['id']);
      inputs.engineDied(new Map([['id', { engineName: 'one', events: 0 }]]));
    }
    expect(() => inputs.check(by())).toThrow(/INPUT_ENDS_ENGINE|refused/);
    expect(() => inputs.check(by('n/app'))).not.toThrow();
  });

  it('is refused the third time, also where its caller left each time before the engine ended', () => {
    const { inputs, dies, isRefused } = start();
    for (let time = 0; time < 2; time += 1) {
      expect(isRefused('bad')).toBe(false);
      inputs.given(input('bad'), stable(one), ['id'])(true);
      // Many others leave before the engine is found to hang.
      for (const text of texts(5000)) inputs.given(input(text), stable(one), [text])(true);
      expect(inputs.engineDied(new Map([['id', { engineName: 'one', events: 3 }]]))).toMatchObject({
        isOfInput: false,
        versions: new Set(['one']),
      });
    }
    expect(isRefused('bad')).toBe(true);
    dies({ text: '0', sent: [1] });
    expect(isRefused('0')).toBe(false);
  });

  it('is refused for a while', () => {
    const { clock, dies, isRefused } = start();
    for (let time = 0; time < 2; time += 1) dies({ text: 'bad', sent: [3] });
    clock.advance(599_999);
    expect(isRefused('bad')).toBe(true);
    clock.advance(1);
    expect(isRefused('bad')).toBe(false);
    // It begins anew.
    dies({ text: 'bad', sent: [3] });
    expect(isRefused('bad')).toBe(false);
  });

  it('is no version that did it, once it did so for another one', () => {
    const { dies } = start();
    expect(dies({ text: 'bad', sent: [3] }, { text: 'fine', version: other, sent: [3] }).isOfInput).toBe(
      false,
    );
    expect(dies({ text: 'bad', sent: [3] }).isOfInput).toBe(false);
    expect(dies({ text: 'bad', version: other, sent: [3] }).isOfInput).toBe(true);
  });

  it('that is there for several versions at once says nothing about any of them', () => {
    const { dies, isRefused } = start();
    const { isOfInput } = dies(
      { text: 'bad', sent: [3] },
      { text: 'bad', version: other, sent: [3] },
      { text: 'bad', sent: [3] },
    );
    expect(isOfInput).toBe(false);
    expect(isRefused('bad')).toBe(false);
  });
});

it('versions that it happened to are those of suspects that were there again, else of all that ran', () => {
  const { dies } = start();
  expect(
    dies({ text: 'bad', sent: [3] }, { text: 'fine', version: other, sent: [3] }, { text: 'waits' }).versions,
  ).toEqual(new Set(['one', 'other']));
  expect(dies({ text: 'bad', sent: [3] }, { text: 'new', version: other, sent: [3] }).versions).toEqual(
    new Set(['one']),
  );
  expect(dies({ text: 'waits' }).versions).toEqual(new Set());
});

it('a version that nobody was given a request for, as that of a copy, is one that it happened to', () => {
  const { inputs } = start();
  const work = new Map([['copy', { engineName: 'canary', events: 1 }]]);
  expect(inputs.engineDied(work)).toMatchObject({ isOfInput: false, versions: new Set(['canary']) });
});

describe('suspects', () => {
  it('come back one at a time, so that the one that ends the engine again is known; others wait for nobody', async () => {
    const { dies, isRefused, turnsOf, inputs } = start();
    dies({ text: 'fine', sent: [40] }, { text: 'bad', sent: [7] }, { text: 'fine too', sent: [0] });
    const { having, ends } = turnsOf('fine', 'bad', 'fine too', 'new');
    await setImmediate();
    expect(having).toEqual(['new', 'fine']);
    inputs.answered(input('fine'));
    (await ends[0]!)();
    await setImmediate();
    expect(having).toEqual(['new', 'fine', 'bad']);
    dies({ text: 'bad', sent: [7] }, { text: 'new', sent: [30] });
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

  it('that were not there when it ended again are none any more, nor are those beside the one that is found', async () => {
    const { dies, turnsOf } = start();
    dies(...['bad', 'a', 'b', 'c'].map((text) => ({ text, sent: [20] })));
    dies({ text: 'bad', sent: [20] }, { text: 'new', sent: [5] }, { text: 'a' });
    const { having } = turnsOf('a', 'b', 'c', 'new');
    await setImmediate();
    expect(having).toEqual(['a', 'b', 'c', 'new']);
  });

  it('of another end stay suspects when one is found', async () => {
    const { clock, dies, turnsOf } = start();
    dies({ text: 'bad', sent: [20] });
    clock.advance(1000);
    dies({ text: 'a', sent: [20] }, { text: 'b', sent: [20] });
    clock.advance(1000);
    dies({ text: 'bad', sent: [20] });
    const { having } = turnsOf('a', 'b');
    await setImmediate();
    expect(having).toEqual(['a']);
  });

  it('that are there again together are tried again, and none of them is refused yet', () => {
    const { dies, isRefused } = start();
    const both = ['bad', 'fine'].map((text) => ({ text, sent: [20] }));
    for (let time = 0; time < 3; time += 1) dies(...both, { text: `${time}`, sent: [1] });
    expect([isRefused('bad'), isRefused('fine')]).toEqual([false, false]);
    dies({ text: 'bad', sent: [20] });
    expect([isRefused('bad'), isRefused('fine')]).toEqual([true, false]);
  });

  it('are an eighth of them at a time where they are many: of 64 the one is found at the third end', async () => {
    const { dies, isRefused, turnsOf } = start();
    dies(...texts(64).map((text) => ({ text, sent: [20] })));
    const { having, ends } = turnsOf(...texts(64));
    await setImmediate();
    expect(having).toEqual(texts(8));
    dies(...texts(8).map((text) => ({ text, sent: [20] })));
    for (const end of ends.slice(0, 8)) (await end)();
    const again = turnsOf(...texts(8));
    await setImmediate();
    // The others are none any more.
    expect(having).toHaveLength(64);
    expect(again.having).toEqual(['0']);
    dies({ text: '0', sent: [20] });
    expect(texts(64).filter((text) => isRefused(text))).toEqual(['0']);
  });

  it('are none once they are clearly further than when the engine ended, which ends their turn', async () => {
    const { dies, inputs, turnsOf, isRefused } = start();
    dies({ text: 'a', sent: [3] }, { text: 'b', sent: [3] });
    const a = input('a');
    await inputs.turn(a, never);
    const { having } = turnsOf('b');
    const left = inputs.given(a, stable(one), ['id']);
    for (let event = 0; event < 12; event += 1) inputs.heard(a, 0, false);
    await setImmediate();
    expect(having).toEqual([]);
    inputs.heard(a, 0, false);
    await setImmediate();
    expect(having).toEqual(['b']);
    left(false);
    dies({ text: 'a', sent: [30] });
    expect(isRefused('a')).toBe(false);
  });

  it('of several answers are further once each of those that ran is further or complete', async () => {
    const { dies, inputs, turnsOf } = start();
    // The second one waited.
    dies({ text: 'a', sent: [3, -1, 0] }, { text: 'b', sent: [3] });
    const a = input('a');
    await inputs.turn(a, never);
    const { having } = turnsOf('b');
    inputs.given(a, stable(one), ['0', '1', '2']);
    for (let event = 0; event < 20; event += 1) inputs.heard(a, 0, false);
    await setImmediate();
    expect(having).toEqual([]);
    inputs.heard(a, 2, true);
    await setImmediate();
    expect(having).toEqual(['b']);
  });

  it('have a turn for 10 seconds, and 20 after they were there twice', async () => {
    const { clock, dies, turnsOf } = start();
    const both = ['a', 'b'].map((text) => ({ text, sent: [20] }));
    for (const seconds of [10, 20]) {
      dies(...both);
      const { having } = turnsOf('a', 'b');
      await setImmediate();
      clock.advance(seconds * 1000 - 1);
      await setImmediate();
      expect(having).toEqual(['a']);
      clock.advance(1);
      await setImmediate();
      expect(having).toEqual(['a', 'b']);
      clock.advance(seconds * 1000);
    }
  });

  it('are refused when their turn comes, where they ended the engine meanwhile', async () => {
    const { inputs, dies } = start();
    dies({ text: 'bad', sent: [3] });
    const first = await inputs.turn(input('bad'), never);
    const second = inputs.turn(input('bad'), never);
    dies({ text: 'bad', sent: [3] });
    first();
    await expect(second).rejects.toMatchObject({ code: 'INPUT_ENDS_ENGINE' });
  });

  it('that leave keep nobody waiting', async () => {
    const { inputs, dies } = start();
    dies(...['a', 'b', 'c'].map((text) => ({ text, sent: [3] })));
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
      dies({ text: 'good', sent: [3] });
      inputs.answered(input('good'));
    }
    expect(isRefused('good')).toBe(false);
  });

  it('waited in the queue of the engine, also where its caller left', () => {
    const { inputs, dies, isRefused } = start();
    for (let time = 0; time < 3; time += 1) {
      inputs.given(input('left'), stable(one), ['id'])(true);
      dies({ text: 'good' });
    }
    expect([isRefused('good'), isRefused('left')]).toEqual([false, false]);
  });

  it('was answered, refused, or let go of by the engine that ended before', () => {
    const { inputs, isRefused } = start();
    const ends = () => inputs.engineDied(new Map([['id', { engineName: 'one', events: 0 }]]));
    for (let time = 0; time < 3; time += 1) {
      const answered = input('answered');
      const over = inputs.given(answered, stable(one), ['id']);
      inputs.answered(answered);
      over(true);
      inputs.given(input('refused'), stable(one), ['id'])(false);
      ends();
      inputs.given(input('former'), stable(one), ['id'])(true);
      inputs.engineDied(new Map());
      ends();
    }
    expect(['answered', 'refused', 'former'].map((text) => isRefused(text))).toEqual([false, false, false]);
  });

  it('is the one that was there longest ago, where there are too many to remember', () => {
    const { clock, dies, isRefused } = start();
    for (let time = 0; time < 2; time += 1) dies({ text: 'first', sent: [3] });
    for (const text of texts(999)) {
      clock.advance(1);
      dies({ text, sent: [3] });
    }
    expect(isRefused('first')).toBe(true);
    dies({ text: 'last', sent: [3] });
    expect(isRefused('first')).toBe(false);
  });
});
