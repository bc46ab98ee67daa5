import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Machine } from '../machine/machine.ts';
import { type Automatic, choose } from './choose.ts';

const [mib, gib] = [2 ** 20, 2 ** 30];
const all: Automatic = { threads: 'auto', adapterMemory: 'auto' };
const machine = (cores: Machine['cores'], bytes = 4 * gib, kind: Machine['memory']['kind'] = 'limit') => ({
  cores,
  memory: { bytes, kind },
});
const threadsOf = (cores: Machine['cores']) => choose(all, machine(cores)).settings.threads;

describe('what is left to the machine', () => {
  it.each([
    [{ physical: 1 }, 1],
    [{ physical: 2 }, 2],
    [{ physical: 3 }, 2],
    [{ physical: 4 }, 3],
    [{ physical: 64 }, 8],
    [{ physical: 4, quota: 0.25 }, 1],
    [{ physical: 4, quota: 1.5 }, 1],
    [{ physical: 4, quota: 2 }, 2],
    [{ physical: 16, quota: 4 }, 3],
    [{ physical: 2, quota: 8 }, 2],
  ])('of %j is %i threads', (cores, threads) => {
    expect(threadsOf(cores)).toBe(threads);
  });

  it('holds eight adapters of rank 16 for all linears: of 0.5 billion parameters in 2 GiB, of 1 billion in 4', () => {
    for (const [bytes, adapter] of [
      [2 * gib, 35e6],
      [4 * gib, 45e6],
    ] as const) {
      const { adapterMemory } = choose(all, machine({ physical: 4 }, bytes)).settings;
      expect(adapterMemory).toBeGreaterThanOrEqual(8 * adapter);
    }
  });

  it('is half as much memory where the machine is there for others as well', () => {
    const { settings } = choose(all, machine({ physical: 4 }, 12 * gib, 'available'));
    expect(settings.adapterMemory).toBe(gib);
  });

  it('is said with its reason, and only where nobody said it', () => {
    const { settings, choices } = choose({ ...all, threads: 5 }, machine({ physical: 4, quota: 3 }, 3 * gib));
    expect(settings).toEqual({ threads: 5, adapterMemory: 512 * mib });
    expect(choices).toEqual([
      { setting: '--adapter-memory', value: 512 * mib, why: '1/6 of the memory limit of 3.0 GiB' },
    ]);
  });

  it('never is more threads than the container may use, nor more than two thirds of its memory', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 256 }),
        fc.double({ min: 0.1, max: 256, noNaN: true }),
        fc.integer({ min: 256 * mib, max: 512 * gib }),
        (physical, quota, bytes) => {
          const { settings } = choose(all, machine({ physical, quota }, bytes));
          expect(settings.threads).toBeGreaterThanOrEqual(1);
          expect(settings.threads).toBeLessThanOrEqual(Math.max(1, Math.min(physical, quota)));
          expect(settings.adapterMemory).toBeLessThanOrEqual(bytes / 3);
        },
      ),
    );
  });
});
