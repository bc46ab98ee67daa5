import { setImmediate } from 'node:timers/promises';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../../time/fake-clock.ts';
import { flowOf } from '../schedule/fair-queue.ts';
import type { Whose } from '../tasks.ts';
import { Batcher, type BatcherOptions, type Piece } from './batcher.ts';

const piece = (work: string, more: Partial<Piece<string>> = {}): Piece<string> => ({
  key: 'a',
  rows: 1,
  length: 1,
  cost: 1,
  work,
  ...more,
});
const names = (pieces: readonly Piece<string>[]) => pieces.map(({ work }) => work).join('');

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
  const add = (
    pieces: readonly Piece<string>[],
    { request = 1, adapter = null, ...whose }: Whose & { request?: number; adapter?: string | null } = {},
  ) => batcher.add({ request, flow: flowOf(whose, adapter) }, pieces);
  const next = async () => {
    gates.shift()?.resolve();
    await setImmediate();
  };
  return { batcher, add, clock, runs, gates, next };
};

describe('the first batch', () => {
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
  ])('has %s', async (_, waiting, expected) => {
    const { add, batcher, clock, runs } = make({ limits, maxDelayMs: 50 });
    const answers = Promise.allSettled(waiting.map((one) => add([one])));
    clock.advance(50);
    expect(runs).toEqual([expected]);
    batcher.stop();
    await setImmediate();
    expect(runs).toEqual([expected]);
    void answers;
  });
});

describe('a batcher', () => {
  it('runs what waits while a batch runs as the next batch, and gives each request its own results', async () => {
    const { add, runs, next } = make();
    const first = add([piece('a')]);
    const second = add([piece('b'), piece('c')]);
    const third = add([piece('d')]);
    await next();
    await next();
    expect(runs).toEqual(['a', 'bdc']);
    expect(await Promise.all([first, second, third])).toEqual([['A'], ['B', 'C'], ['D']]);
  });

  it('splits a request that is larger than a batch, in order', async () => {
    const { add, runs, next } = make();
    const answer = add(Array.from('abcdef', (work) => piece(work)));
    await next();
    await next();
    expect(runs).toEqual(['abcd', 'ef']);
    expect((await answer).join('')).toBe('ABCDEF');
  });

  it('lets requests take turns: a small one does not wait for all of a large one', async () => {
    const { add, runs, next } = make();
    const large = add(Array.from('abcdefghij', (work) => piece(work)));
    const small = add([piece('x')], { request: 2 });
    await next();
    await next();
    expect(runs).toEqual(['abcd', 'exfg', 'hij']);
    expect(await small).toEqual(['X']);
    await next();
    expect(await large).toHaveLength(10);
  });

  it('waits for others no longer than it may, and not at all when the batch is full', async () => {
    const { add, clock, runs, next } = make({ maxDelayMs: 50 });
    const first = add([piece('a')]);
    clock.advance(49);
    expect(runs).toEqual([]);
    const second = add([piece('b')]);
    clock.advance(1);
    expect(runs).toEqual(['ab']);
    await next();
    await Promise.all([first, second]);
    const third = add(Array.from('wxyz', (work) => piece(work)));
    expect(runs).toEqual(['ab', 'wxyz']);
    await next();
    await third;
  });

  it('does not wait with a piece that is run by itself', async () => {
    const { add, runs, next } = make({ maxDelayMs: 50 });
    const answer = add([piece('a', { key: undefined })]);
    expect(runs).toEqual(['a']);
    await next();
    expect(await answer).toEqual(['A']);
  });

  it('does not wait for more of a key when what waits of it is more than a batch', async () => {
    const { add, batcher, runs, next } = make({ maxDelayMs: 50 });
    const answer = add([piece('a', { rows: 3 }), piece('b', { rows: 3 })]);
    expect(runs).toEqual(['a']);
    await next();
    batcher.stop();
    await expect(answer).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
  });

  it('drops what waits of a cancelled request and leaves others alone', async () => {
    const { add, batcher, runs, next } = make();
    const running = add([piece('a')]);
    const given = add([piece('b'), piece('c')], { request: 2 });
    const kept = add([piece('d')], { request: 3 });
    batcher.cancel(2);
    await expect(given).rejects.toMatchObject({ code: 'REQUEST_CANCELLED' });
    await next();
    await next();
    expect(runs).toEqual(['a', 'd']);
    expect(await Promise.all([running, kept])).toEqual([['A'], ['D']]);
  });

  it('says that a cancelled request is over once nothing of it runs any more', async () => {
    const { add, batcher, runs, next } = make();
    const told: unknown[] = [];
    add(Array.from('abcdef', (work) => piece(work))).catch((error: unknown) => told.push(error));
    batcher.cancel(1);
    await setImmediate();
    expect(told).toEqual([]);
    await next();
    expect(told).toMatchObject([{ code: 'REQUEST_CANCELLED' }]);
    expect(runs).toEqual(['abcd']);
  });

  it('does not run what waits of a request that failed', async () => {
    const { add, runs, gates, next } = make();
    const bad = add(Array.from('abcdef', (work) => piece(work)));
    const good = add([piece('x')], { request: 2 });
    gates.shift()?.reject(new Error('broken'));
    await expect(bad).rejects.toThrow('broken');
    await next();
    expect(await good).toEqual(['X']);
    expect(runs).toEqual(['abcd', 'x']);
  });

  it('fails the requests of a batch that failed, and runs the next one', async () => {
    const { add, runs, gates, next } = make();
    const bad = add([piece('a')]);
    const good = add([piece('b')], { request: 2 });
    gates.shift()?.reject(new Error('broken'));
    await expect(bad).rejects.toThrow('broken');
    await next();
    expect(await good).toEqual(['B']);
    expect(runs).toEqual(['a', 'b']);
  });

  it('takes nothing after it was stopped', async () => {
    const { add, batcher } = make();
    batcher.stop();
    await expect(add([piece('a')])).rejects.toMatchObject({ code: 'ENGINE_DOWN' });
  });
});

describe('namespaces', () => {
  /** Starts what fills the present batch, so that what comes after it waits. */
  const startBusy = () => {
    const node = make();
    void node.add([piece('-')]);
    return node;
  };

  it('get alike of each batch by what their pieces cost, whatever one asks for', async () => {
    const { add, runs, next } = startBusy();
    for (const work of 'abcdefgh') void add([piece(work, { cost: 3 })], { namespace: 'greedy' });
    for (const work of '1234') void add([piece(work)], { namespace: 'modest' });
    for (let run = 0; run < 4; run += 1) await next();
    expect(runs).toEqual(['-', 'a123', 'b4cd', 'efgh']);
  });

  it('and in them tenants and adapters, and one request with many pieces is one of them', async () => {
    const { add, runs, next } = startBusy();
    void add(
      Array.from('abcdef', (work) => piece(work)),
      { namespace: 'a', tenant: 'x' },
    );
    void add(
      Array.from('123', (work) => piece(work)),
      { namespace: 'a', tenant: 'y', adapter: 'p' },
    );
    void add([piece('8'), piece('9')], { namespace: 'a', tenant: 'y', adapter: 'q' });
    for (let run = 0; run < 4; run += 1) await next();
    expect(runs.slice(1, 3)).toEqual(['a18b', '2c9d']);
  });

  it('that were loaded adapters for have had that', async () => {
    const { batcher, add, runs, next } = startBusy();
    const flow = flowOf({ namespace: 'loads' }, 'a');
    void batcher.add({ request: 1, flow, cost: 10 }, [piece('a'), piece('b')]);
    void add(
      Array.from('12345', (work) => piece(work)),
      { namespace: 'other' },
    );
    await next();
    expect(runs[1]).toBe('1234');
  });

  it('with fewer pieces in a batch than are guaranteed to it goes first', async () => {
    const { add, runs, next } = startBusy();
    for (const work of 'abcdef') void add([piece(work)], { namespace: 'a' });
    for (const work of '12345') void add([piece(work, { cost: 9 })], { namespace: 'b', guaranteed: 3 });
    await next();
    expect(runs[1]).toBe('123a');
  });

  describe('beside one that is guaranteed to go first, and asks for ever more', () => {
    const asks = ({ add }: ReturnType<typeof make>, namespace: string, more: Partial<Piece<string>>) => {
      const guaranteed = namespace === 'g' ? 8 : 0;
      const pieces = Array.from({ length: 16 }, () => piece(namespace, { cost: 3, ...more }));
      for (const one of pieces) void add([one], { namespace, guaranteed }).catch(() => undefined);
    };
    const afterRuns = async ({ runs, next, batcher }: ReturnType<typeof make>, count: number) => {
      for (let run = 0; run < count; run += 1) await next();
      batcher.stop();
      return runs.slice(1, count + 1);
    };

    it.each([
      ['where each piece runs by itself', { key: undefined }, ['g', 'b', 'g', 'b']],
      ['of pieces of another key', { key: 'x' }, ['gggg', 'bbbb', 'gggg', 'bbbb']],
      ['where a piece fills a batch', { rows: 4 }, ['g', 'b', 'g', 'b']],
      ['where a full batch is guaranteed', {}, ['gggg', 'bbbb', 'gggg', 'bbbb']],
      ['where tokens fill a batch', { length: 50 }, ['gg', 'bb', 'gg', 'bb']],
    ])('get every other batch %s', async (_, more, expected) => {
      const node = startBusy();
      const { key, ...size } = { key: 'a', ...more };
      asks(node, 'b', { ...size, key });
      asks(node, 'g', { ...size, key: key === 'x' ? 'a' : key });
      expect(await afterRuns(node, 4)).toEqual(expected);
    });

    it('leave it its place in each batch where whoever had least has one, too', async () => {
      const node = startBusy();
      for (const work of 'abcdef') void node.add([piece(work)], { namespace: 'a' });
      for (const work of '12') void node.add([piece(work, { cost: 9 })], { namespace: 'b', guaranteed: 1 });
      expect(await afterRuns(node, 2)).toEqual(['1abc', '2def']);
    });
  });

  it('never wait behind more than a batch of others and what is due to those, in any order of requests', async () => {
    const request = fc.record({
      namespace: fc.constantFrom('a', 'b', 'c', 'g', 'h'),
      pieces: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 12 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 12 }), async (requests) => {
        const guaranteed: Readonly<Record<string, number>> = { g: 2, h: 8 };
        const others = ['a', 'b', 'c'];
        const done: Record<string, number> = { a: 0, b: 0, c: 0 };
        const left: Record<string, number> = { a: 0, b: 0, c: 0 };
        let without = 0;
        const batcher = new Batcher<string, number>({
          limits: { maxRows: 4, maxTokens: 100 },
          maxDelayMs: 0,
          clock: new FakeClock(),
          run: async (batch) => {
            const least = (among: readonly string[]) =>
              Math.min(...among.filter((one) => (left[one] ?? 0) > 0).map((one) => done[one] ?? 0));
            const isDue = least(others) < least(Object.keys(guaranteed));
            without = isDue && !batch.some(({ work }) => others.includes(work)) ? without + 1 : 0;
            expect(without).toBeLessThan(2);
            await setImmediate();
            for (const { work, cost } of batch) {
              done[work] = (done[work] ?? 0) + cost;
              left[work] = (left[work] ?? 0) - 1;
            }
            const waiting = others.filter((one) => (left[one] ?? 0) > 4);
            const counts = waiting.map((one) => done[one] ?? 0);
            // 2·K·L with K pieces of a batch, L what one costs at most.
            if (counts.length > 1) expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(72);
            return batch.map(({ cost }) => cost);
          },
        });
        // While it runs all others come, and begin as equals.
        const first = batcher.add({ request: 99, flow: flowOf({ namespace: 'first' }, null) }, [
          piece('first'),
        ]);
        const answers = requests.map(({ namespace, pieces }, index) => {
          left[namespace] = (left[namespace] ?? 0) + pieces.length;
          return batcher.add(
            { request: index, flow: flowOf({ namespace, guaranteed: guaranteed[namespace] ?? 0 }, null) },
            pieces.map((cost) => piece(namespace, { cost })),
          );
        });
        expect(await Promise.all([first, ...answers])).toEqual([
          [1],
          ...requests.map(({ pieces }) => pieces),
        ]);
      }),
    );
  });
});
