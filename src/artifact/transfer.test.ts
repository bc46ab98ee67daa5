import { randomBytes } from 'node:crypto';
import { appendFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { folderOfTests } from '../../test/support/temporary-folder.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { Bandwidth } from '../time/bandwidth.ts';
import { systemClock } from '../time/clock.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { digestOf } from './digest.ts';
import { FakeWeb } from './fake-web.ts';
import { HttpClient } from './http-client.ts';
import { RetryBudget } from './retry-budget.ts';
import { type Download, digestOfDownload, downloadTo, type TransferOptions } from './transfer.ts';

const never = new AbortController().signal;
const url = new URL('https://files.test/a');
const content = randomBytes(300_000);
const atOnce = { ...systemClock, after: (_: number, fn: () => void) => systemClock.after(0, fn) };
const options: TransferOptions = { clock: atOnce, random: () => 0, attempts: 3 };

let web: FakeWeb;
const folder = folderOfTests();
let path: string;
beforeAll(() => {
  path = join(folder, 'part');
});
beforeEach(async () => {
  web = new FakeWeb();
  web.put(url.href, content);
  await rm(path, { force: true });
});

const download = (onBytes: (bytes: number) => void = () => undefined, signal = never): Download => {
  const client = new HttpClient({ fetch: web.fetch, clock: systemClock, insecureHosts: [], idleMs: 5000 });
  return {
    blob: { digest: digestOf(content), size: content.length },
    what: 'a',
    host: url.host,
    ask: (headers) => client.follow(url, { method: 'GET', headers }, signal),
    unexpected: (status) => new AdaptletError('REGISTRY_UNAVAILABLE', `answered ${status}`),
    signal,
    onBytes,
  };
};
/** Whether a request asked for the rest from a byte on. */
const starts = (): readonly number[] =>
  web.asked.map(({ headers }) => Number(/^bytes=(\d+)-/.exec(headers.get('range') ?? '')?.[1] ?? 0));

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
/** Lets what was begun come to its next wait for time. */
const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await turn();
};
const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await turn();
};

describe('a download whose link is cut', () => {
  it('goes on where it was, at whatever bytes it is cut, and gives the same file', async () => {
    const cuts = fc.array(fc.integer({ min: 1, max: content.length }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(
        cuts,
        fc.integer({ min: 0, max: content.length + 10 }),
        fc.boolean(),
        async (all, have, knows) => {
          const left = [...all];
          web.cutAfter = () => left.shift() ?? Number.POSITIVE_INFINITY;
          web.knowsRanges = knows;
          web.asked.length = 0;
          await writeFile(path, content.subarray(0, have));
          if (have > content.length) await appendFile(path, Buffer.alloc(have - content.length));
          // Without ranges each attempt begins anew, and those that get no further are counted.
          const attempts = knows ? 3 : 20;
          await downloadTo(download(), { path, have }, { ...options, attempts });
          expect((await readFile(path)).equals(content)).toBe(true);
          if (!knows) return;
          let at = have > content.length ? 0 : have;
          for (const [index, start] of starts().entries()) {
            expect(start).toBe(at);
            at = Math.min(content.length, at + (all[index] ?? content.length));
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('gives the digest of what was sent, from the start where the server knows no ranges', async () => {
    web.knowsRanges = false;
    web.cutAfter = () => (web.asked.length === 1 ? 1000 : Number.POSITIVE_INFINITY);
    expect(await digestOfDownload(download(), options)).toBe(digestOf(content));
  });

  it('ends after some attempts that bring nothing', async () => {
    web.cutAfter = () => 0;
    await expect(downloadTo(download(), { path, have: 0 }, options)).rejects.toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
    });
    expect(web.asked).toHaveLength(3);
  });
});

describe('a server that asks to be left alone', () => {
  const busy = (seconds: number) =>
    new Response(null, { status: 429, headers: { 'retry-after': String(seconds) } });

  it('is not asked before the time that it says', async () => {
    web.instead.push(busy(30));
    const clock = new FakeClock();
    const running = downloadTo(download(), { path, have: 0 }, { ...options, clock });
    await until(() => web.asked.length === 1);
    await turns();
    clock.advance(29_000);
    await turns();
    expect(web.asked).toHaveLength(1);
    clock.advance(1000);
    await running;
    expect(web.asked).toHaveLength(2);
  });

  it('is left to who asks again later where that takes long', async () => {
    web.instead.push(busy(600));
    await expect(downloadTo(download(), { path, have: 0 }, options)).rejects.toMatchObject({
      code: 'REGISTRY_UNAVAILABLE',
      retryAfterMs: 600_000,
    });
    expect(web.asked).toHaveLength(1);
  });

  it('is left alone by all who share the budget', async () => {
    const clock = new FakeClock();
    const budget = new RetryBudget(10, clock);
    web.instead.push(busy(600));
    const shared = { ...options, clock, budget };
    const first = downloadTo(download(), { path, have: 0 }, shared);
    await expect(first).rejects.toMatchObject({ retryAfterMs: 600_000 });
    const second = downloadTo(download(), { path, have: 0 }, shared);
    await expect(second).rejects.toMatchObject({ code: 'REGISTRY_UNAVAILABLE' });
    expect(web.asked).toHaveLength(1);
    clock.advance(600_000);
    await downloadTo(download(), { path, have: 0 }, shared);
  });
});

describe('a budget of retries', () => {
  it('ends the retries of all who ask a host, and not those of another', async () => {
    const budget = new RetryBudget(4, new FakeClock());
    web.cutAfter = () => 0;
    for (let i = 0; i < 3; i++)
      await expect(downloadTo(download(), { path, have: 0 }, { ...options, budget })).rejects.toThrow();
    // Three that are asked in any case, and four retries.
    expect(web.asked).toHaveLength(7);
    expect([budget.spend(url.host), budget.spend('other.test')]).toEqual([false, true]);
  });

  it('is not spent by a link that breaks again and again and brings something', async () => {
    const budget = new RetryBudget(1, new FakeClock());
    web.cutAfter = () => 30_000;
    await downloadTo(download(), { path, have: 0 }, { ...options, budget });
    expect(web.asked).toHaveLength(10);
  });

  it('comes back with the time, and remembers a bounded number of hosts', () => {
    const clock = new FakeClock();
    const budget = new RetryBudget(2, clock);
    expect([1, 2, 3].map(() => budget.spend('a'))).toEqual([true, true, false]);
    clock.advance(30_000);
    expect([1, 2].map(() => budget.spend('a'))).toEqual([true, false]);
    for (let i = 0; i < 1000; i++) budget.spend(`host-${i}`);
    expect(budget.size).toBe(256);
  });
});

it('a download keeps to the bandwidth, and says meanwhile that it is alive', async () => {
  const clock = new FakeClock();
  const bandwidth = new Bandwidth({ windows: [], otherwise: 10_000, timeZone: 'UTC' }, clock);
  let signs = 0;
  let isDone = false;
  const onBytes = (): void => void signs++;
  const running = downloadTo(download(onBytes), { path, have: 0 }, { ...options, clock, bandwidth });
  void running.then(() => (isDone = true));
  await until(() => signs > 0);
  const second = async (): Promise<void> => {
    await turns();
    clock.advance(1000);
  };
  for (let seconds = 0; seconds < 28; seconds++) await second();
  expect([isDone, signs > 20]).toEqual([false, true]);
  for (let seconds = 0; seconds < 10; seconds++) await second();
  await running;
});
