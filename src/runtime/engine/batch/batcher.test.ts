import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { Batcher, type BatcherOptions, nextBatch, type Piece } from './batcher.ts';

const piece = (work: string, more: Partial<Piece<string>> = {}): Piece<string> => ({
  request: 1,
  key: 'a',
  rows: 1,
  length: 1,
  work,
  ...more,
});
const names = (pieces: readonly Piece<string>[]) => pieces.map(({ work }) => work).join('');

describe('the next batch', () => {
  const limits = { maxRows: 3, maxTokens: 12 };

  it.each([
    ['the first pieces up to the rows', [piece('a'), piece('b'), piece('c'), piece('d')], 'abc'],
    ['pieces of the first one’s key', [piece('a'), piece('b', { key: 'x' }), piece('c')], 'ac'],
    ['rows times the longest', [piece('a', { length: 5 }), piece('b'), piece('c')], 'ab'],
    ['a long piece that would make the others long', [piece('a'), piece('b', { length: 9 })], 'a'],
    ['a piece over the limits by itself', [piece('a', { rows: 9 }), piece('b')], 'a'],
    [
      'a piece without a key by itself',
      [piece('a', { key: undefined }), piece('b', { key: undefined })],
      'a',
    ],
    ['no later piece before an earlier one', [piece('a'), piece('b', { rows: 3 }), piece('c')], 'a'],
  ])('takes %s', (_, waiting, expected) => {
    expect(names(nextBatch(waiting, limits))).toBe(expected);
  });
});

/** A batcher whose runs wait until they are let go. */
const make = (options: Partial<BatcherOptions<string, string>> = {}) => {
  const clock = new FakeClock();
  const runs: string[] = [];
  const gates: PromiseWithResolvers<void>[] = [];
  const batcher = new Batcher<string, string>({
    limits: { maxRows: 4, maxTokens: 100 },
    maxDelayMs: 0,
    clock,
    run: async (batch) => {
      runs.push(names(batch));
      const gate = Promise.withResolvers<void>();
      gates.push(gate);
      await gate.promise;
      return batch.map(({ work }) => work.toUpperCase());
    },
    ...options,
  });
  const next = async () => {
    gates.shift()?.resolve();
    await setImmediate();
  };
  return { batcher, clock, runs, gates, next };
};

describe('a batcher', () => {
  it('runs what waits while a batch runs as the next batch, and gives each request its own results', async () => {
    const { batcher, runs, next } = make();
    const first = batcher.add([piece('a')]);
    const second = batcher.add([piece('b'), piece('c')]);
    const third = batcher.add([piece('d')]);
    await next();
    await next();
    expect(runs).toEqual(['a', 'bdc']);
    expect(await Promise.all([first, second, third])).toEqual([['A'], ['B', 'C'], ['D']]);
  });

  it('splits a request that is larger than a batch, in order', async () => {
    const { batcher, runs, next } = make();
    const answer = batcher.add(Array.from('abcdef', (work) => piece(work)));
    await next();
    await next();
    expect(runs).toEqual(['abcd', 'ef']);
    expect((await answer).join('')).toBe('ABCDEF');
  });

  it('lets requests take turns: a small one does not wait for all of a large one', async () => {
    const { batcher, runs, next } = make();
    const large = batcher.add(Array.from('abcdefghij', (work) => piece(work)));
    const small = batcher.add([piece('x', { request: 2 })]);
    await next();
    await next();
    expect(runs).toEqual(['abcd', 'exfg', 'hij']);
    expect(await small).toEqual(['X']);
    await next();
    expect(await large).toHaveLength(10);
  });

  it('waits for others no longer than it may, and not at all when the batch is full', async () => {
    const { batcher, clock, runs, next } = make({ maxDelayMs: 50 });
    const first = batcher.add([piece('a')]);
    clock.advance(49);
    expect(runs).toEqual([]);
    const second = batcher.add([piece('b')]);
    clock.advance(1);
    expect(runs).toEqual(['ab']);
    await next();
    await Promise.all([first, second]);
    const third = batcher.add(Array.from('wxyz', (work) => piece(work)));
    expect(runs).toEqual(['ab', 'wxyz']);
    await next();
    await third;
  });

  it('does not wait with a piece that is run by itself', async () => {
    const { batcher, runs, next } = make({ maxDelayMs: 50 });
    const answer = batcher.add([piece('a', { key: undefined })]);
    expect(runs).toEqual(['a']);
    await next();
    expect(await answer).toEqual(['A']);
  });

  it('does not wait for more of a key when what waits of it is more than a batch', async () => {
    const { batcher, runs, next } = make({ maxDelayMs: 50 });
    const answer = batcher.add([piece('a', { rows: 3 }), piece('b', { rows: 3 })]);
    expect(runs).toEqual(['a']);
    await next();
    batcher.stop();
    await expect(answer).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
  });

  it('drops what waits of a cancelled request and leaves others alone', async () => {
    const { batcher, runs, next } = make();
    const running = batcher.add([piece('a')]);
    const given = batcher.add([piece('b', { request: 2 }), piece('c', { request: 2 })]);
    const kept = batcher.add([piece('d', { request: 3 })]);
    batcher.cancel(2);
    await expect(given).rejects.toMatchObject({ code: 'REQUEST_CANCELLED' });
    await next();
    await next();
    expect(runs).toEqual(['a', 'd']);
    expect(await Promise.all([running, kept])).toEqual([['A'], ['D']]);
  });

  it('fails the requests of a batch that failed, and runs the next one', async () => {
    const { batcher, runs, gates, next } = make();
    const bad = batcher.add([piece('a')]);
    const good = batcher.add([piece('b')]);
    gates.shift()?.reject(new Error('broken'));
    await expect(bad).rejects.toThrow('broken');
    await next();
    expect(await good).toEqual(['B']);
    expect(runs).toEqual(['a', 'b']);
  });

  it('takes nothing after it was stopped', async () => {
    const { batcher } = make();
    batcher.stop();
    await expect(batcher.add([piece('a')])).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
  });
});
