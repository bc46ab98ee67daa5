import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import { anAdapterState, aRolloutState } from '../testing/fake-fleet.ts';
import { SharedStates } from './shared.ts';

const key = (at: number) => objectKey('team-a', `adapter-${at}`);
const state = (at: number) =>
  anAdapterState('0'.repeat(36), '', 'Resident', {
    storedBytes: at,
    targetModules: ['q_proj', 'k_proj', 'v_proj'],
  });
/** The same texts in all of them: the test itself keeps little. */
const modules = Array.from({ length: 64 }, () => 'x'.repeat(256));

describe('states that many runtimes tell', () => {
  it('are one object for 20,000 adapters', () => {
    const shared = new SharedStates();
    const first = Array.from({ length: 20_000 }, (_, at) => shared.adapter(key(at), state(at))[1]);
    for (const [at, known] of first.entries()) expect(shared.adapter(key(at), state(at))[1]).toBe(known);
  });

  it('are forgotten after many bytes of others: who makes up long ones fills no memory', () => {
    const shared = new SharedStates();
    const known = shared.adapter(key(0), state(0))[1];
    for (let at = 1; at < 20_000; at += 1)
      shared.adapter(key(at), anAdapterState('u', '', 'Failed', { targetModules: modules, storedBytes: at }));
    expect(shared.adapter(key(0), state(0))[1]).not.toBe(known);
  });

  it('are not what a runtime alone holds back', async () => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const shared = new SharedStates();
    const told = (): WeakRef<object> => {
      const hold = { digest: fakeDigest('2'), cause: 'Guard' as const, reason: 'it fails', attempt: 1 };
      shared.rollout(key(0), aRolloutState('u', { holds: [hold] }));
      return new WeakRef(hold);
    };
    const hold = told();
    for (let turn = 0; turn < 5; turn += 1) {
      await setImmediate();
      gc();
    }
    expect(hold.deref()).toBeUndefined();
    expect(shared.rollout(key(0), aRolloutState('u'))[0]).toBe(key(0));
  });
});
