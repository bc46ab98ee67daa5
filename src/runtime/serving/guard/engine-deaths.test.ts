import { describe, expect, it } from 'vitest';
import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { EngineDeaths } from './engine-deaths.ts';

const digest = `sha256:${'a'.repeat(64)}` as Digest;
const gone = new AdaptletError('ENGINE_DOWN', 'gone');
const asked = (engineName: string) =>
  ({ engineName, rolloutUid: 'r', arm: 'canary', digest, isTrial: false }) as const;

const start = () => {
  const clock = new FakeClock();
  const deaths = new EngineDeaths(clock);
  /** The suspects ran with these versions. */
  const died = (...versions: readonly (string | null)[]): void =>
    deaths.died({ isOfInput: false, versions: new Set(versions) });
  const excuses = (engineName: string): boolean => deaths.excuses(gone, { engineName });
  return { clock, deaths, died, excuses };
};

describe('a version', () => {
  it('is charged with an end that happened to it alone, whatever else failed with it', () => {
    const { deaths, died, excuses } = start();
    died('canary');
    expect([excuses('canary'), excuses('stable')]).toEqual([false, true]);
    expect(deaths.excuses(new AdaptletError('INTERNAL', 'x'), { engineName: 'stable' })).toBe(false);
  });

  it('is not charged with one that happened to others as well, also of its own rollout', () => {
    const { died, excuses } = start();
    died('canary', 'stable');
    expect([excuses('canary'), excuses('stable')]).toEqual([true, true]);
    died('canary', null);
    expect(excuses('canary')).toBe(true);
  });

  it('is not charged when the engine worked on no request', () => {
    const { died, excuses } = start();
    died();
    expect(excuses('canary')).toBe(true);
  });

  it('is excused three times in a row, however many requests it had each time, then it is charged', () => {
    const { clock, died, excuses } = start();
    for (let death = 0; death < 3; death += 1) {
      died('canary', 'stable');
      for (let request = 0; request < 8; request += 1) expect(excuses('canary')).toBe(true);
    }
    died('canary', 'stable');
    expect(excuses('canary')).toBe(false);
    expect(excuses('stable')).toBe(true);
    clock.advance(600_000);
    died('canary', 'stable');
    expect(excuses('canary')).toBe(true);
  });

  it('that an end happened without is excused anew', () => {
    const { died, excuses } = start();
    for (let death = 0; death < 3; death += 1) {
      died('canary', 'stable');
      expect([excuses('canary'), excuses('stable')]).toEqual([true, true]);
    }
    died('canary');
    died('canary', 'stable');
    expect([excuses('canary'), excuses('stable')]).toEqual([false, true]);
  });
});

it('requests that were left are told of the end of the engine that worked on any of their answers, once, and the last 10,000 are remembered', () => {
  const { deaths } = start();
  const work = (id: string, engineName: string) => new Map([[id, { engineName, events: 1 }]]);
  deaths.left(['a', 'a-1'], asked('canary'));
  expect(deaths.takeLeft(work('a-1', 'canary'))).toEqual([asked('canary')]);
  expect(deaths.takeLeft(work('a-1', 'canary'))).toEqual([]);
  deaths.left(['a'], asked('canary'));
  // Another version answers it now.
  expect(deaths.takeLeft(work('a', 'stable'))).toEqual([]);
  for (const last of [10_000, 10_001]) {
    deaths.left(['first'], asked('canary'));
    for (let left = 1; left < last; left += 1) deaths.left([`${left}`], asked('canary'));
    expect(deaths.takeLeft(work('first', 'canary'))).toHaveLength(last === 10_000 ? 1 : 0);
  }
});
