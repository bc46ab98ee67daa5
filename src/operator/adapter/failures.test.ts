import { describe, expect, it } from 'vitest';
import { anAdapterState, runtimeKey } from '../testing/fake-fleet.ts';
import { setOf } from '../testing/runtime-set.ts';
import { failuresOf, type Seen } from './failures.ts';
import type { Holder } from './observe.ts';

const failing = (name: string, reason = 'STORE_FULL'): Holder => ({
  runtimes: setOf(runtimeKey(name)),
  tier: 'Disk',
  baseDigest: '',
  isSilent: false,
  state: anAdapterState('uid', '', 'Failed', { reason, message: 'no room' }),
  isServing: false,
});
const at = (second: number, isNewTerm = false) => ({ now: `2026-01-01T00:00:${10 + second}Z`, isNewTerm });
const none: Seen = new Map();
const names = (result: ReturnType<typeof failuresOf>) => result.failures.map(({ runtime }) => runtime);

describe('failures', () => {
  it('are newest first and keep the time of the first report', () => {
    const first = failuresOf([failing('a')], [], none, at(0));
    const second = failuresOf([failing('a'), failing('b')], first.failures, first.seen, at(1));
    expect(second.failures.map(({ runtime, time }) => `${runtime} ${time}`)).toEqual([
      'b 2026-01-01T00:00:11Z',
      'a 2026-01-01T00:00:10Z',
    ]);
    expect(failuresOf([failing('a'), failing('b')], second.failures, second.seen, at(9)).failures).toEqual(
      second.failures,
    );
  });

  it('begin anew with another reason, and go when they are over', () => {
    const first = failuresOf([failing('a')], [], none, at(0));
    const other = failuresOf([failing('a', 'ADAPTER_SHAPE')], first.failures, first.seen, at(1));
    expect(other.failures).toMatchObject([{ reason: 'ADAPTER_SHAPE', time: '2026-01-01T00:00:11Z' }]);
    expect(failuresOf([], other.failures, other.seen, at(2)).failures).toEqual([]);
  });

  it('are ten at most, and steady with more that are as old', () => {
    const all = Array.from({ length: 30 }, (_, i) => failing(`n${10 + i}`));
    const first = failuresOf(all, [], none, at(0));
    expect(names(first)).toHaveLength(10);
    const again = failuresOf(all, first.failures, first.seen, at(1));
    expect(again.failures).toEqual(first.failures);
    expect(names(failuresOf([...all, failing('z')], again.failures, again.seen, at(2)))[0]).toBe('z');
  });

  it('that a new leader finds do not push out what is written', () => {
    const all = Array.from({ length: 30 }, (_, i) => failing(`n${10 + i}`));
    const { failures } = failuresOf(all.slice(20), [], none, at(0));
    const next = failuresOf(all, failures, none, at(1, true));
    expect(next.failures).toEqual(failures);
    expect(failuresOf(all, next.failures, next.seen, at(2)).failures).toEqual(failures);
  });
});
