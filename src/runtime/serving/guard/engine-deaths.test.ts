import { describe, expect, it } from 'vitest';
import type { Digest } from '../../../api/names.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { FakeClock } from '../../../time/fake-clock.ts';
import { EngineDeaths } from './engine-deaths.ts';

const digest = `sha256:${'a'.repeat(64)}` as Digest;
const gone = new AdaptletError('ENGINE_DOWN', 'gone');
const of = (engineName: string) => ({ engineName, rolloutUid: 'r', digest });

const start = () => {
  const clock = new FakeClock();
  const deaths = new EngineDeaths(clock);
  /** The suspects ran with these versions. */
  const died = (...versions: readonly (string | null)[]): void =>
    deaths.died({ isOfInput: false, versions: new Set(versions) });
  const excuses = (engineName: string): boolean => deaths.excuses(gone, of(engineName));
  return { clock, deaths, died, excuses };
};

describe('a version', () => {
  it('is charged with an end that happened to it alone, whatever else failed with it', () => {
    const { deaths, died, excuses } = start();
    died('canary');
    expect([excuses('canary'), excuses('stable')]).toEqual([false, true]);
    expect(deaths.excuses(new AdaptletError('INTERNAL', 'x'), of('stable'))).toBe(false);
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
