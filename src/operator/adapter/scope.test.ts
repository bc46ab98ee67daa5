import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { anAdapterState, aRuntimeObject, aRuntimeStatus } from '../testing/fake-fleet.ts';
import { AdapterWorld, digest, uid, v1 } from './world.fixture.ts';

const joinPod = (world: AdapterWorld, namespace: string): void => {
  const pod = objectKey(namespace, 'pod');
  const failed = anAdapterState(uid, digest, 'Failed', {
    isFinal: true,
    reason: 'ADAPTER_NOT_FINITE',
    storedBytes: 7,
    rank: 3,
  });
  world.cluster.apply(aRuntimeObject(pod, {}, { ...aRuntimeStatus(true), kind: 'Pod' }));
  world.fleet.report(pod, { kind: 'Pod', adapters: new Map([[v1, failed]]) });
};

describe('the runtime of a pod', () => {
  it('counts for Adapters of its namespace, and is nothing to others', async () => {
    const world = new AdapterWorld()
      .join('a')
      .adapter({ digest, preload: { tier: 'Disk' } })
      .state('a', 'Stored');
    joinPod(world, 'team-b');
    await world.settle();
    expect(world.status).toMatchObject({ runtimes: { desired: 1, stored: 1, failed: 0 }, failures: [] });
    expect(world.status.rank).toBeUndefined();
    joinPod(world, 'team-a');
    await world.settle();
    expect(world.status).toMatchObject({ runtimes: { desired: 2, stored: 1, failed: 1 }, rank: 3 });
  });

  it('has the Adapters of its namespace looked at when it comes, and no others', () => {
    const world = new AdapterWorld().join('a').adapter({ digest, preload: { tier: 'Disk' } });
    const wanted: string[] = [];
    const stop = world.controller.follow((key) => void wanted.push(key));
    const wantedWhen = (namespace: string): string[] => {
      world.clock.advance(10_000);
      wanted.length = 0;
      const pod = objectKey(namespace, 'pod');
      world.cluster.apply(aRuntimeObject(pod, {}, { ...aRuntimeStatus(true), kind: 'Pod' }));
      world.fleet.report(pod, { kind: 'Pod' });
      world.clock.advance(10_000);
      return wanted;
    };
    expect(wantedWhen('team-b')).toEqual([]);
    expect(wantedWhen('team-a')).toContain(v1);
    stop();
  });
});
