import { afterEach, expect, it, vi } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { anAdapterState, aRuntimeState, runtimeKey } from '../testing/fake-fleet.ts';
import { AlikeRuntimes } from './alike.ts';
import { Bits } from './bits.ts';
import type { Profile } from './group.ts';
import { Variants } from './variants.ts';

afterEach(() => vi.restoreAllMocks());

const size = 1000;
const v1 = objectKey('team-a', 'v1');
const profile = (memoryBytes: number): Profile => ({
  scope: undefined,
  baseModel: 'tiny',
  isConnected: true,
  isExpected: false,
  restraint: undefined,
  isServing: true,
  build: '',
  memoryBytes,
  diskBytes: 0,
  maxRank: 256,
  tellsClassifiers: false,
});

it('tells runtimes of which each is another and says something else apart, and no two sets meet for each two of them', () => {
  const alike = new AlikeRuntimes();
  for (let i = 0; i < size; i++) {
    const key = runtimeKey(`n${i}`);
    alike.place(key, profile(i), {});
    const adapters = new Map([[v1, anAdapterState('u', '', 'Failed', { message: `lacks ${i} bytes` })]]);
    alike.say(aRuntimeState(key, { adapters }), { adapters: [v1], rollouts: [], routes: [] });
  }
  const meetings = [vi.spyOn(Bits.prototype, 'and'), vi.spyOn(Bits.prototype, 'without')];
  const groups = alike.groups('team-a', undefined, {
    selectors: [undefined],
    adapters: [{ key: v1, uid: 'u' }],
  });
  expect(meetings.flatMap(({ mock }) => mock.calls).length).toBeLessThanOrEqual(size);
  const found = groups.map((group) => [alike.keysOf(group.runtimes), group.adapters[0]?.message]);
  expect(new Set(found.map(String)).size).toBe(size);
  for (const {
    profile: { memoryBytes },
    adapters,
  } of groups)
    expect(adapters[0]?.message).toBe(`lacks ${memoryBytes} bytes`);
});

it('looks at no object for a runtime that says nothing and is written again', () => {
  const alike = new AlikeRuntimes();
  const clear = vi.spyOn(Variants.prototype, 'clear');
  const key = runtimeKey('away');
  alike.place(key, profile(1), {});
  alike.silence(key);
  expect(clear).not.toHaveBeenCalled();
  const adapters = new Map([[v1, anAdapterState('u', '', 'Stored')]]);
  alike.say(aRuntimeState(key, { adapters }), { adapters: [v1], rollouts: [], routes: [] });
  alike.silence(key);
  const [group] = alike.groups('team-a', undefined, { adapters: [{ key: v1, uid: 'u' }] });
  expect(group?.adapters).toEqual([undefined]);
});
