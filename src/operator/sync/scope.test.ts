import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { Identity_Kind } from '../../gen/adaptlet/control/v1/control.ts';
import { anAdapter, aRollout, aRoute, aStatus } from '../../plan/manifests.fixture.ts';
import { podToken } from './fake-replica.ts';
import { digest, Stage } from './stage.fixture.ts';

const stage = new Stage();
const { dial, eventually } = stage;

const connectedPod = async () => {
  const runtime = dial(podToken('app-1'));
  runtime.hello({ identity: { namespace: 'team-a', name: 'app-1', kind: Identity_Kind.POD } });
  await eventually('a Welcome', () => runtime.welcomed);
  return runtime;
};

describe('a runtime of a pod', () => {
  it('is told of its own namespace only, also when it asks for a name of another', async () => {
    const { adapters, rollouts, routes } = stage.replica.objects;
    for (const namespace of ['team-a', 'team-b']) {
      adapters.put(anAdapter({ name: 'sql', namespace }, { digest, preload: { tier: 'Disk' } }));
      adapters.put(anAdapter({ name: 'rare', namespace }, { digest }));
      rollouts.put(aRollout({ name: 'r', namespace }, { adapter: 'sql' }, aStatus()));
      routes.put(aRoute({ name: 'way', namespace }, {}));
    }
    const runtime = await connectedPod();
    await eventually('a commit', () => runtime.commits === 1);
    runtime.ack(1n);
    runtime.subscribe('team-a/rare', 'team-b/rare', 'team-b/nothing');
    await eventually('the second commit', () => runtime.commits === 2);
    expect(runtime.keys()).toEqual([
      'AdapterSpec team-a/sql',
      'Route team-a/way',
      'Split team-a/r',
      'AdapterSpec team-a/rare',
    ]);
    expect(runtime.of('unknown')).toEqual([{ names: ['team-b/rare', 'team-b/nothing'] }]);
    expect(runtime.messages.some((message) => JSON.stringify(message, text).includes('team-b/sql'))).toBe(
      false,
    );
  });

  it('gives up what it has of other namespaces', async () => {
    stage.replica.objects.adapters.put(anAdapter({ name: 'sql', namespace: 'team-b' }, { digest }));
    const runtime = dial(podToken('app-1'));
    runtime.hello({
      identity: { namespace: 'team-a', name: 'app-1', kind: Identity_Kind.POD },
      held: [{ key: 'AdapterSpec team-b/sql', version: 'v' }],
    });
    await eventually('the removal', () => runtime.of('remove').length === 1);
    expect(runtime.of('remove')).toEqual(['AdapterSpec team-b/sql']);
  });

  it('tells nothing of others', async () => {
    const runtime = await connectedPod();
    const state = { uid: 'u', digest, state: 'Failed', reason: 'X', message: '', isFinal: true };
    const sizes = {
      inTurn: false,
      storedBytes: 0n,
      residentBytes: 0n,
      neededBytes: 0n,
      rank: 0,
      targetModules: [],
    };
    const keys = ['team-a/sql', 'team-b/sql'];
    runtime.report({ whole: true, adapters: keys.map((key) => ({ key, ...state, ...sizes })) });
    const known = await eventually('a report', () => stage.replica.fleet.get(objectKey('team-a', 'app-1')));
    expect([...known.adapters.keys()]).toEqual(['team-a/sql']);
  });
});

const text = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);
