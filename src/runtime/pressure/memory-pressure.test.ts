import { expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { Part } from './decide.ts';
import { MemoryPressure } from './memory-pressure.ts';

const mib = 2 ** 20;
const full: Part = {
  fullBytes: 400 * mib,
  usedBytes: 0,
  sparableBytes: 0,
  leavingBytes: 0,
  leastBytes: 0,
  guaranteedBytes: 0,
};

/** A node with a limit of 1,000 MiB, of which 50 are to stay free. What it is told to let go of is gone at once. */
const node = () => {
  const clock = new FakeClock();
  const said: string[] = [];
  const say =
    (word: string) =>
    (_: object, message: string): void =>
      void said.push(`${word}: ${message}`);
  const now = { besideMib: 300, kills: 0, kvMib: 200, adaptersMib: 100, hasModel: true };
  const limits: { kvMib: number; adapterMib: number; isFull: boolean }[] = [];
  const pressure = new MemoryPressure({
    clock,
    log: { debug: () => undefined, info: say('info'), warn: say('warn'), error: say('error') },
    read: () => ({
      levels: [
        {
          name: 'the limit',
          own: true,
          limitBytes: 1000 * mib,
          usedBytes: (now.besideMib + now.kvMib + now.adaptersMib) * mib,
          stalledPercent: 0,
        },
      ],
      kills: now.kills,
    }),
    kv: () =>
      now.hasModel ? { ...full, usedBytes: now.kvMib * mib, sparableBytes: now.kvMib * mib } : undefined,
    adapters: () => ({ ...full, usedBytes: now.adaptersMib * mib, sparableBytes: now.adaptersMib * mib }),
    limit: ({ kvBytes, adapterBytes, isFull }) => {
      limits.push({ kvMib: kvBytes / mib, adapterMib: adapterBytes / mib, isFull });
      now.kvMib = Math.min(now.kvMib, kvBytes / mib);
      now.adaptersMib = Math.min(now.adaptersMib, adapterBytes / mib);
    },
  });
  return { clock, said, now, limits, pressure };
};

const codeOf = (work: () => void): string => {
  try {
    work();
  } catch (error) {
    return error instanceof AdaptletError ? `${error.code} ${error.retryAfterMs}` : String(error);
  }
  return 'taken';
};

it('a node with enough says nothing, and gives budgets as they were given', () => {
  const { clock, said, limits, pressure } = node();
  clock.advance(60_000);
  expect([said, limits]).toEqual([[], [{ kvMib: 400, adapterMib: 400, isFull: true }]]);
  expect(pressure.view).toMatchObject({
    phase: 'ample',
    level: 'the limit',
    shrinks: 0,
    refused: 0,
    kills: 0,
  });
});

it('a shortage is said once, what is kept goes first, and its end is said once as well', () => {
  const { clock, said, now, limits, pressure } = node();
  clock.advance(250);
  now.besideMib = 680;
  clock.advance(250);
  // 20 MiB are free, 100 are wanted.
  expect(limits.at(-1)).toEqual({ kvMib: 120, adapterMib: 100, isFull: false });
  expect(pressure.view).toMatchObject({ phase: 'short', shrinks: 1, kvFullBytes: 400 * mib });
  now.besideMib = 830;
  clock.advance(250);
  expect(limits.at(-1)).toEqual({ kvMib: 25, adapterMib: 45, isFull: false });
  expect(said).toEqual([
    'warn: memory is short: budgets shrink, what is kept for later requests and adapters that nobody uses leave',
  ]);
  now.besideMib = 300;
  clock.advance(600_000);
  expect(said.slice(1)).toEqual(['info: memory is no longer short: budgets grow again']);
  expect(limits.at(-1)).toEqual({ kvMib: 400, adapterMib: 400, isFull: true });
  expect(pressure.view).toMatchObject({ phase: 'ample', shrinks: 2 });
});

it('with nothing left to let go of requests are refused, those that are guaranteed last, and taken again', () => {
  const { clock, said, now, pressure } = node();
  now.besideMib = 985;
  Object.assign(now, { kvMib: 0, adaptersMib: 0 });
  clock.advance(250);
  expect(codeOf(() => pressure.admit(false))).toBe('MEMORY_PRESSURE 5000');
  expect(codeOf(() => pressure.admit(true))).toBe('taken');
  now.besideMib = 999;
  clock.advance(250);
  expect(codeOf(() => pressure.admit(true))).toBe('MEMORY_PRESSURE 5000');
  expect(pressure.view).toMatchObject({ phase: 'refusing', refused: 2 });
  now.besideMib = 300;
  clock.advance(250);
  expect(codeOf(() => pressure.admit(false))).toBe('taken');
  expect(said).toEqual([
    'warn: memory is short and nothing is left to let go of: new requests are refused',
    'info: requests are taken again',
  ]);
});

it('a process that the kernel killed is said with what to set', () => {
  const { clock, said, now, pressure } = node();
  now.kills = 1;
  clock.advance(500);
  expect(said).toEqual([
    'error: the kernel killed a process of this runtime for lack of memory: raise the memory limit, or lower --kv-memory or --adapter-memory',
  ]);
  expect(pressure.view.kills).toBe(1);
});

it('an engine that comes back is given the memory that there is then, not what the one before it had', () => {
  const { clock, now, limits } = node();
  now.besideMib = 680;
  clock.advance(500);
  expect(limits.at(-1)?.kvMib).toBe(120);
  Object.assign(now, { hasModel: false, kvMib: 0, besideMib: 300 });
  clock.advance(250);
  now.hasModel = true;
  clock.advance(250);
  expect(limits.at(-1)?.kvMib).toBe(400);
});

it('looks no more once it is closed', () => {
  const { clock, now, limits, pressure } = node();
  pressure.close();
  now.besideMib = 900;
  clock.advance(10_000);
  expect(limits).toEqual([]);
});
