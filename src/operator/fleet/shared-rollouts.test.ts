import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import { aRolloutState } from '../testing/fake-fleet.ts';
import { SharedRollouts } from './shared-rollouts.ts';

const key = (at: number) => objectKey('team-a', `rollout-${at}`);

describe('rollouts that many runtimes tell of', () => {
  it('are one object where nothing is counted, and each its own where something is', () => {
    const shared = new SharedRollouts();
    const step = { attempt: 1, weight: 5, effectiveWeight: 5 };
    const served = { stable: 95, canary: 5 };
    const counting = aRolloutState('u', { ...step, served });
    expect(shared.of(key(0), counting)[1]).toEqual(counting);
    const [, first] = shared.of(key(0), aRolloutState('u', step));
    expect(first).toEqual(aRolloutState('u', step));
    expect(shared.of(key(0), aRolloutState('u', step))[1]).toBe(first);
    for (const more of [{ attempt: 2 }, { weight: 6 }, { effectiveWeight: 0 }, { served }]) {
      const [, other] = shared.of(key(0), aRolloutState('u', { ...step, ...more }));
      expect(other).toEqual(aRolloutState('u', { ...step, ...more }));
      expect(shared.of(key(0), aRolloutState('u', step))[1]).toBe(first);
    }
    expect(shared.of(key(1), aRolloutState('u', step))[1]).not.toBe(first);
  });

  it('are forgotten after many bytes of others: who makes up long ones fills no memory', () => {
    const shared = new SharedRollouts();
    const uid = 'x'.repeat(120);
    let most = 0;
    for (let at = 0; at < 40_000; at += 1) {
      for (let arms = 0; arms < 8; arms += 1) shared.of(key(at), aRolloutState(`${uid}-${arms}`));
      most = Math.max(most, shared.bytes);
    }
    expect(most).toBeGreaterThan(32 << 20);
    expect(most).toBeLessThan(66 << 20);
  });

  it('are not what a runtime alone holds back', async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const shared = new SharedRollouts();
    const told = (): WeakRef<object> => {
      const hold = { digest: fakeDigest('2'), cause: 'Guard' as const, reason: 'it fails', attempt: 1 };
      shared.of(key(0), aRolloutState('u', { holds: [hold] }));
      return new WeakRef(hold);
    };
    const hold = told();
    for (let turn = 0; turn < 5; turn += 1) {
      await setImmediate();
      gc();
    }
    expect(hold.deref()).toBeUndefined();
    expect(shared.of(key(0), aRolloutState('u'))[0]).toBe(key(0));
  });
});
