import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { Measurements } from './measurements.ts';
import { type ExternalSource, measurementTimeoutMs, type Variables } from './source.ts';

const up: ExternalSource = { prometheus: { address: 'http://prometheus', query: 'up' } };
const down: ExternalSource = { prometheus: { address: 'http://prometheus', query: 'down' } };
const of = (namespace = 'team-a', rollout = 'sql'): Variables => ({ namespace, rollout });

type Pending = {
  readonly source: ExternalSource;
  readonly variables: Variables;
  readonly signal: AbortSignal;
} & Omit<PromiseWithResolvers<number>, 'promise'>;

/** Measurements whose servers answer when the test says so. */
const setUp = (limits?: { running: number; runningOfGroup: number; waitingOfGroup: number }) => {
  const clock = new FakeClock();
  const asked: Pending[] = [];
  const changed: string[] = [];
  const measurements = new Measurements({
    clock,
    changed: (id) => changed.push(id),
    measure: (source, variables, signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<number>();
      asked.push({ source, variables, signal, resolve, reject });
      return promise;
    },
    ...(limits === undefined ? {} : { limits }),
  });
  return { clock, asked, changed, measurements };
};

describe('a measurement', () => {
  it('has no result at first, and says when it has one', async () => {
    const { asked, changed, measurements } = setUp();
    measurements.ask('m', 1, up, of());
    expect([measurements.result('m', 1), changed]).toEqual([undefined, []]);
    asked[0]?.resolve(0.25);
    await turn();
    expect([measurements.result('m', 1), changed]).toEqual([{ value: 0.25 }, ['m']]);
  });

  it('keeps NaN, which is a value and no error', async () => {
    const { asked, measurements } = setUp();
    measurements.ask('m', 1, up, of());
    asked[0]?.resolve(Number.NaN);
    await turn();
    expect(measurements.result('m', 1)).toEqual({ value: Number.NaN });
  });

  it('that is asked for again, under way or done, is made once', async () => {
    const { asked, changed, measurements } = setUp();
    for (const _ of [1, 2, 3]) measurements.ask('m', 1, up, of());
    asked[0]?.resolve(1);
    await turn();
    measurements.ask('m', 1, up, of());
    expect([asked.length, measurements.result('m', 1), changed]).toEqual([1, { value: 1 }, ['m']]);
  });

  it('waits for the one before of its metric, and takes its place', async () => {
    const { asked, measurements } = setUp();
    measurements.ask('m', 1, up, of());
    measurements.ask('m', 2, up, of());
    expect(asked).toHaveLength(1);
    asked[0]?.resolve(1);
    await turn();
    expect([measurements.result('m', 1), measurements.result('m', 2)]).toEqual([{ value: 1 }, undefined]);
    measurements.ask('m', 2, up, of());
    expect([asked.length, measurements.result('m', 1)]).toEqual([2, undefined]);
    asked[1]?.resolve(2);
    await turn();
    expect(measurements.result('m', 2)).toEqual({ value: 2 });
  });

  it.each([
    ['another query', down, of()],
    ['another rollout', up, of('team-a', 'other')],
  ])('is given up and made anew when its metric is asked with %s', async (_, source, variables) => {
    const { asked, changed, measurements } = setUp();
    measurements.ask('m', 1, up, of());
    measurements.ask('m', 1, source, variables);
    expect([asked.length, asked[0]?.signal.aborted]).toEqual([2, true]);
    asked[0]?.resolve(1);
    await turn();
    expect([measurements.result('m', 1), changed]).toEqual([undefined, []]);
    asked[1]?.resolve(2);
    await turn();
    expect([measurements.result('m', 1), changed]).toEqual([{ value: 2 }, ['m']]);
  });

  it('whose result is of another query is made anew', async () => {
    const { asked, measurements } = setUp();
    measurements.ask('m', 1, up, of());
    asked[0]?.resolve(1);
    await turn();
    measurements.ask('m', 1, down, of());
    expect([asked.length, measurements.result('m', 1)]).toEqual([2, undefined]);
  });

  it('that fails is an error with what happened and what to do', async () => {
    const { asked, changed, measurements } = setUp();
    measurements.ask('m', 1, up, of());
    asked[0]?.reject(new AdaptletError('METRIC_UNREADABLE', 'the query has no result'));
    await turn();
    expect(measurements.result('m', 1)).toEqual({
      error: expect.stringMatching(/^the query has no result\. Change the source/),
    });
    expect(changed).toEqual(['m']);
  });

  it('whose asking throws is an error as well, in a text that fits a status', async () => {
    const measurements = new Measurements({
      clock: new FakeClock(),
      changed: () => undefined,
      measure: () => {
        throw new TypeError('x'.repeat(10_000));
      },
    });
    measurements.ask('m', 1, up, of());
    await turn();
    expect(measurements.result('m', 1)).toEqual({
      error: expect.stringMatching(/^the measurement failed: x{900,}…$/),
    });
    expect(JSON.stringify(measurements.result('m', 1)).length).toBeLessThan(1100);
  });

  it('of a server that hangs, and ignores that it is given up, ends after its time', async () => {
    const { clock, asked, changed, measurements } = setUp();
    measurements.ask('m', 1, up, of());
    clock.advance(measurementTimeoutMs - 1);
    await turn();
    expect([asked[0]?.signal.aborted, changed]).toEqual([false, []]);
    clock.advance(1);
    await turn();
    expect([asked[0]?.signal.aborted, changed]).toEqual([true, ['m']]);
    expect(measurements.result('m', 1)).toEqual({
      error: expect.stringContaining('no whole answer within 10 s'),
    });
    asked[0]?.resolve(1);
    await turn();
    expect(measurements.result('m', 1)).toEqual({ error: expect.any(String) });
    expect(changed).toEqual(['m']);
  });

  it('that came in time does not end later', async () => {
    const { clock, asked, changed, measurements } = setUp();
    measurements.ask('m', 1, up, of());
    asked[0]?.resolve(1);
    await turn();
    clock.advance(measurementTimeoutMs);
    await turn();
    expect([measurements.result('m', 1), changed, asked[0]?.signal.aborted]).toEqual([
      { value: 1 },
      ['m'],
      false,
    ]);
  });

  it('that is forgotten is given up, and the others go on', async () => {
    const { asked, changed, measurements } = setUp();
    measurements.ask('old', 1, up, of());
    measurements.ask('new', 1, up, of());
    measurements.forget(new Set(['new']));
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, false]);
    for (const { resolve } of asked) resolve(1);
    await turn();
    expect([measurements.result('old', 1), measurements.result('new', 1), changed]).toEqual([
      undefined,
      { value: 1 },
      ['new'],
    ]);
  });
});

describe('many measurements', () => {
  const limits = { running: 3, runningOfGroup: 2, waitingOfGroup: 2 };

  it('run up to 16 at once by default, 4 of one namespace', () => {
    const { asked, measurements } = setUp();
    for (const namespace of ['a', 'b', 'c', 'd', 'e'])
      for (let index = 0; index < 10; index++) measurements.ask(`${namespace}${index}`, 1, up, of(namespace));
    expect(asked).toHaveLength(16);
    expect(asked.filter(({ variables }) => variables.namespace === 'a')).toHaveLength(4);
  });

  it('of a namespace whose servers hang do not keep those of another from being made', async () => {
    const { asked, measurements } = setUp(limits);
    for (const id of ['a1', 'a2', 'a3', 'a4']) measurements.ask(id, 1, up, of('hanging'));
    measurements.ask('b', 1, up, of('good'));
    asked.at(-1)?.resolve(1);
    await turn();
    expect(measurements.result('b', 1)).toEqual({ value: 1 });
  });

  it('wait, and get their place and their whole time when another ends', async () => {
    const { clock, asked, changed, measurements } = setUp(limits);
    for (const id of ['1', '2', '3']) measurements.ask(id, 1, up, of());
    expect(asked).toHaveLength(2);
    clock.advance(measurementTimeoutMs);
    await turn();
    expect([asked.length, changed]).toEqual([3, ['1', '2']]);
    clock.advance(measurementTimeoutMs - 1);
    asked[2]?.resolve(3);
    await turn();
    expect(measurements.result('3', 1)).toEqual({ value: 3 });
  });

  it('that are more than may wait are errors, told after `ask` has returned', async () => {
    const { asked, changed, measurements } = setUp(limits);
    for (const id of ['1', '2', '3', '4', '5']) measurements.ask(id, 1, up, of());
    expect([asked.length, changed]).toEqual([2, []]);
    await turn();
    expect(changed).toEqual(['5']);
    expect(measurements.result('5', 1)).toEqual({
      error: expect.stringContaining('too many measurements of the namespace team-a wait'),
    });
  });

  it('that wait and are forgotten are never made', async () => {
    const { asked, measurements } = setUp(limits);
    for (const id of ['1', '2', '3', '4']) measurements.ask(id, 1, up, of());
    measurements.forget(new Set(['1', '2', '4']));
    asked[0]?.resolve(1);
    await turn();
    asked[1]?.resolve(1);
    await turn();
    expect(asked).toHaveLength(3);
    asked[2]?.resolve(4);
    await turn();
    expect(measurements.result('4', 1)).toEqual({ value: 4 });
  });

  it('end when they are closed: nothing starts and nobody is called', async () => {
    const { asked, changed, measurements } = setUp(limits);
    for (const id of ['1', '2', '3', '4', '5']) measurements.ask(id, 1, up, of());
    measurements[Symbol.dispose]();
    measurements.ask('6', 1, up, of());
    await turn();
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, true]);
    expect(changed).toEqual([]);
  });
});
