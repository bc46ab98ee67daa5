import { expect, it } from 'vitest';
import { KeyedMutex } from './keyed-mutex.ts';

const gate = () => Promise.withResolvers<void>();

it('does work for one key one after the other, and for others meanwhile', async () => {
  const mutex = new KeyedMutex<string>();
  const [first, log] = [gate(), [] as string[]];
  const work = (name: string, until?: Promise<void>) => async (): Promise<void> => {
    log.push(`${name} begins`);
    await until;
    log.push(`${name} ends`);
  };
  const all = [
    mutex.runExclusive('a', work('a1', first.promise)),
    mutex.runExclusive('a', work('a2')),
    mutex.runExclusive('b', work('b1')),
  ];
  await all[2];
  expect(log).toEqual(['a1 begins', 'b1 begins', 'b1 ends']);
  first.resolve();
  await Promise.all(all);
  expect(log.slice(3)).toEqual(['a1 ends', 'a2 begins', 'a2 ends']);
});

it('goes on after work that failed', async () => {
  const mutex = new KeyedMutex<string>();
  const failing = mutex.runExclusive('a', async () => {
    throw new Error('broken');
  });
  const next = mutex.runExclusive('a', async () => 'done');
  await expect(failing).rejects.toThrow('broken');
  expect(await next).toBe('done');
});

it('lets nobody in before those whom the last one in line gave up on', async () => {
  const mutex = new KeyedMutex<string>();
  const [first, caller] = [gate(), new AbortController()];
  const running = mutex.runExclusive('a', () => first.promise);
  const gaveUp = mutex.runExclusive('a', async () => 'never', caller.signal);
  caller.abort(new Error('left'));
  await expect(gaveUp).rejects.toThrow('left');
  let nextBegan = false;
  const next = mutex.runExclusive('a', async () => {
    nextBegan = true;
  });
  await new Promise(setImmediate);
  expect(nextBegan).toBe(false);
  first.resolve();
  await Promise.all([running, next]);
});

it('lets one who waits give up at once, and keeps the order of the others', async () => {
  const mutex = new KeyedMutex<string>();
  const [first, caller] = [gate(), new AbortController()];
  const running = mutex.runExclusive('a', () => first.promise);
  const gaveUp = mutex.runExclusive('a', async () => 'never', caller.signal);
  let lastBegan = false;
  const last = mutex.runExclusive('a', async () => {
    lastBegan = true;
  });
  caller.abort(new Error('left'));
  await expect(gaveUp).rejects.toThrow('left');
  await new Promise(setImmediate);
  expect(lastBegan).toBe(false);
  first.resolve();
  await Promise.all([running, last]);
  expect(lastBegan).toBe(true);
});
