import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import type { RuntimeState } from '../fleet/fleet.ts';
import { anAdapterState, aRolloutState, aRuntimeObject, aRuntimeStatus } from '../testing/fake-fleet.ts';
import { digestOf, type RolloutWorld, rolloutUid, sql, steps, uidOf, underWay } from './world.fixture.ts';

const podOf = (namespace: string) => objectKey(namespace, 'pod-1');

/** A runtime of a pod that connects and says everything that would move the rollout. */
const joinPod = (world: RolloutWorld, namespace: string, more: Partial<RuntimeState> = {}): void => {
  const key = podOf(namespace);
  world.cluster.apply(aRuntimeObject(key, {}, { ...aRuntimeStatus(true), kind: 'Pod' }));
  world.fleet.report(key, { kind: 'Pod', ...more });
};
const failed = {
  adapters: new Map([
    [
      objectKey('team-a', 'v2'),
      anAdapterState(uidOf('v2'), digestOf('v2'), 'Failed', { isFinal: true, reason: 'ADAPTER_NOT_FINITE' }),
    ],
  ]),
};
const report = (more: Partial<Parameters<typeof aRolloutState>[1]> = {}) => ({
  rollouts: new Map([
    [
      sql,
      aRolloutState(rolloutUid, {
        stableDigest: digestOf('v1'),
        canaryDigest: digestOf('v2'),
        attempt: 1,
        weight: 10,
        effectiveWeight: 10,
        ...more,
      }),
    ],
  ]),
});
const guarded = report({
  holds: [{ digest: digestOf('v2'), cause: 'Guard', reason: '5 consecutive errors', attempt: 1 }],
});
const lies: readonly [string, Partial<RuntimeState>][] = [
  ['that the canary failed', { ...failed, ...report() }],
  ['that its guard tripped', guarded],
  ['that it served a million requests', report({ served: { stable: 0, canary: 1_000_000 } })],
  ['nothing', {}],
];

describe('a runtime of a pod', () => {
  it.each(lies)('of another namespace changes nothing by telling %s', async (_, told) => {
    const [world, alone] = [await underWay('a', 'b'), await underWay('a', 'b')];
    joinPod(world, 'team-b', told);
    for (const one of [world, alone]) {
      one.served('a', 80, 20);
      one.advance(60_000);
      await one.settle();
    }
    expect(world.status).toEqual(alone.status);
    expect(world.status.runtimes).toMatchObject({ desired: 2, failed: 0, held: 0 });
    expect(world.reasons).toEqual(alone.reasons);
  });

  it('of the same namespace counts', async () => {
    const world = await underWay('a', 'b');
    joinPod(world, 'team-a', { ...failed, ...report() });
    await world.settle();
    expect(world.status).toMatchObject({ abort: {}, runtimes: { desired: 3 } });
  });

  it('is waited for while it is connected, and by nobody once it is away', async () => {
    const world = await underWay('a');
    joinPod(world, 'team-a');
    world.spec({ adapter: 'v3', ...steps(10) }).state('v3', 'Resident');
    await world.settle();
    expect(world.status).toMatchObject({ weights: { canary: 0 }, runtimes: { desired: 2, ready: 1 } });
    world.fleet.report(podOf('team-a'), { connected: false, disconnectedAt: world.clock.now() });
    await world.settle();
    expect(world.status).toMatchObject({ weights: { canary: 10 }, runtimes: { desired: 1, offline: 0 } });
  });
});
