import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { aRuntimeObject, aRuntimeStatus, runtimeKey } from '../testing/fake-fleet.ts';
import type { Read, RuntimeObject } from './objects.ts';
import { SharedUnderWay } from './under-way.ts';

const entry = (at: number, weight = 10) => ({
  rollout: `team-a/r${at}`,
  adapter: `v${at}`,
  state: 'Resident',
  weight,
});
const readOf = (object: RuntimeObject): Read<RuntimeObject> => {
  const { namespace, name, uid, creationTimestamp } = object.metadata;
  const metadata = { namespace, name, uid, creationTimestamp, resourceVersion: '1' };
  return { key: objectKey(namespace, name), resourceVersion: '1', metadata, object, problems: [] };
};
const read = (name: string, ...rollouts: ReturnType<typeof entry>[]) =>
  readOf(aRuntimeObject(runtimeKey(name), {}, { ...aRuntimeStatus(true), rollouts }));

describe('rollouts under way, as AdapterRuntimes say them', () => {
  it('are one object for all that say the same, and what they were', () => {
    const shared = new SharedUnderWay();
    const first = shared.of(read('a', entry(1), entry(2)));
    const second = shared.of(read('b', entry(2), entry(1, 20)));
    expect(first).toEqual(read('a', entry(1), entry(2)));
    expect(second).toEqual(read('b', entry(2), entry(1, 20)));
    expect(second.object?.status?.rollouts?.[0]).toBe(first.object?.status?.rollouts?.[1]);
  });

  it('are none where nothing is said, and the object stays as it is', () => {
    const shared = new SharedUnderWay();
    for (const one of [read('a'), readOf(aRuntimeObject(runtimeKey('b')))]) expect(shared.of(one)).toBe(one);
  });

  it('are forgotten after many others', () => {
    const shared = new SharedUnderWay();
    const of = (at: number) => shared.of(read('a', entry(at))).object?.status?.rollouts?.[0];
    const first = of(0);
    expect(first).toEqual(entry(0));
    for (let at = 1; at < 30_000; at += 1) of(at);
    expect(of(0)).toBe(first);
    for (let at = 30_000; at < 80_000; at += 1) of(at);
    expect(of(0)).not.toBe(first);
  });
});
