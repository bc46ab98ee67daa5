import { expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import { aRollout } from '../../plan/manifests.fixture.ts';
import { anAdapterState, runtimeKey } from '../testing/fake-fleet.ts';
import { nothingKept } from '../testing/one-by-one.ts';
import { setOf } from '../testing/runtime-set.ts';
import type { RolloutView } from './view.ts';
import { waitsOf } from './waits.ts';

const digest = fakeDigest('2');
const view = (state: string): RolloutView => ({
  rollout: aRollout({ name: 'sql' }, { adapter: 'v2' }),
  written: undefined,
  target: {
    key: objectKey('team-a', 'v2'),
    uid: 'u2',
    digest,
    baseModel: 'tiny',
    builds: undefined,
    isBarred: false,
    missing: { reason: 'NotResolved', message: '' },
    isKept: true,
    isDeleting: false,
  },
  stable: undefined,
  members: [
    {
      runtimes: setOf(runtimeKey('a'), runtimeKey('b')),
      isServing: true,
      isSilent: false,
      target: anAdapterState('u2', digest, state),
      stable: undefined,
      report: undefined,
    },
  ],
  apart: [],
  away: [],
  nameConflict: undefined,
  kept: nothingKept,
  whyNotBack: () => undefined,
  placement: undefined,
});
const at = (monotonic: number) => ({ monotonic, deadlineMs: 600_000, isFirst: false });

it('copies what each runtime was awaited only while one is: with all of them ready a look costs nothing for each', () => {
  const first = waitsOf(undefined, view('Fetching'), undefined, at(0));
  const ready = waitsOf(first, view('Resident'), undefined, at(1000));
  expect([...(ready?.ms ?? [])]).toEqual([
    [runtimeKey('a'), 1000],
    [runtimeKey('b'), 1000],
  ]);
  const later = waitsOf(ready, view('Resident'), undefined, at(2000));
  expect(later?.ms).toBe(ready?.ms);
  // One that is lost again goes on where it was, without the time in which it was there.
  const lost = waitsOf(later, view('Fetching'), undefined, at(3000));
  const since = waitsOf(lost, view('Fetching'), undefined, at(3500));
  expect(since?.ms.get(runtimeKey('a'))).toBe(1500);
});
