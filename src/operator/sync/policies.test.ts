import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { Hold, Identity_Kind, RolloutReport } from '../../gen/adaptlet/control/v1/control.ts';
import { anAdapter, aPolicy, aRollout, aRoute, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { podToken } from './fake-replica.ts';
import { digest, Stage } from './stage.fixture.ts';

const stage = new Stage();
const { dial, ended, eventually, connected, quiet } = stage;

const dialPod = (namespace = 'team-a', more = {}, token = podToken('app')) => {
  const runtime = dial(token);
  runtime.hello({ identity: { namespace, name: 'app', kind: Identity_Kind.POD }, ...more });
  return runtime;
};
const wasWritten = (): boolean =>
  stage.api.requests.some(({ method, path }) => method === 'PATCH' && path.includes('runtimes'));
const put = (...policy: Parameters<typeof aPolicy>) => stage.replica.objects.policies.put(aPolicy(...policy));

describe('a pod as a runtime', () => {
  it.each<[string, () => void]>([
    ['there is no policy at all', () => undefined],
    ['its namespace says so', () => put('team-a', { runtimes: { pods: 'Allow' } })],
    ['the default policy says so', () => put('adaptlet-system', { runtimes: { pods: 'Allow' } })],
    ['another namespace says that its own may not', () => put('team-b', { runtimes: { pods: 'Deny' } })],
  ])('is accepted where %s', async (_, prepare) => {
    prepare();
    const runtime = dialPod();
    await eventually('a Welcome', () => runtime.welcomed);
  });

  it.each<[string, () => void, string]>([
    [
      'its namespace does not say so',
      () => put('team-a'),
      'the policy team-a/default has spec.runtimes.pods: Deny',
    ],
    ['the default policy does not', () => put('adaptlet-system'), 'the policy adaptlet-system/default has'],
    [
      'the policy of its namespace was never valid',
      () => stage.replica.objects.policies.put(aPolicy('team-a', { runtimes: { pods: 'Allow' } }), false),
      'the policy team-a/default is not valid',
    ],
  ])('is refused where %s, with what to do', async (_, prepare, why) => {
    prepare();
    const end = await ended(dialPod());
    expect(end).toMatchObject({ code: 'PERMISSION_DENIED' });
    expect(JSON.stringify(end)).toContain(why);
    expect(JSON.stringify(end)).toContain('Ask the administrator to');
    expect(wasWritten()).toBe(false);
  });

  it('goes when the policy changes, and may come back when it changes again', async () => {
    put('team-a', { runtimes: { pods: 'Allow' } });
    const runtime = dialPod();
    await eventually('a Welcome', () => runtime.welcomed);
    put('team-b');
    put('team-a', { runtimes: { pods: 'Allow' }, base: 'Deny' });
    await quiet();
    expect(runtime.ended).toBeUndefined();
    put('team-a');
    expect(await ended(runtime)).toMatchObject({ code: 'PERMISSION_DENIED' });
    put('team-a', { runtimes: { pods: 'Allow' } });
    const again = dialPod('team-a', { connectionSeq: 2n });
    await eventually('a Welcome', () => again.welcomed);
  });

  it('goes when its namespace falls back to a default policy that does not allow it', async () => {
    put('adaptlet-system');
    put('team-a', { runtimes: { pods: 'Allow' } });
    const runtime = dialPod();
    await eventually('a Welcome', () => runtime.welcomed);
    stage.replica.objects.policies.delete(objectKey('team-a', 'default'));
    expect(await ended(runtime)).toMatchObject({ code: 'PERMISSION_DENIED' });
  });

  it('is no matter of the runtime of a node', async () => {
    put('adaptlet-system');
    const node = await connected();
    put('adaptlet-system', { base: 'Deny' });
    await quiet();
    expect(node.ended).toBeUndefined();
  });
});

describe('a pod of another namespace, with the default ServiceAccount', () => {
  const victim = () => {
    const { adapters, rollouts, routes } = stage.replica.objects;
    const namespace = 'team-b';
    for (const name of ['v1', 'v2'])
      adapters.put(anAdapter({ name, namespace }, { digest, preload: { tier: 'Memory' } }));
    const canary = { ...bound('v2'), uid: 'Adapter-team-b-v2', seed: '0123456789abcdef', attempt: 1 };
    rollouts.put(
      aRollout(
        { name: 'sql', namespace },
        { adapter: 'v2' },
        aStatus({
          stable: { ...bound('v1'), uid: 'Adapter-team-b-v1' },
          canary,
          weights: { canary: 20, stable: 80 },
        }),
      ),
    );
    routes.put(aRoute({ name: 'way', namespace }));
    put(namespace, { base: 'Deny' });
  };

  it('gets no Adapter, Split, Route or Policy of the others, and tells nothing of their canary', async () => {
    victim();
    put('team-a', { runtimes: { pods: 'Allow' } });
    const evil = dialPod('team-a', { subscriptions: ['team-b/v1', 'team-b/sql'] });
    await eventually('a commit', () => evil.commits > 0);
    expect(evil.keys()).toEqual(['Policy team-a/default']);
    expect(
      JSON.stringify(evil.messages, (_, value: unknown) => (typeof value === 'bigint' ? '' : value)),
    ).not.toContain('"key":"Split team-b');
    const uid = 'AdapterRollout-team-b-sql';
    const failed = {
      uid: 'Adapter-team-b-v2',
      digest,
      state: 'Failed',
      reason: 'X',
      message: '',
      isFinal: true,
      inTurn: false,
    };
    const sizes = { storedBytes: 0n, residentBytes: 0n, neededBytes: 0n, rank: 0, targetModules: [] };
    const hold = Hold.create({ digest, reason: 'the guard tripped', attempt: 1 });
    const degraded = { key: 'team-b/sql', uid, canaryDigest: digest, attempt: 1, holds: [hold] };
    evil.report({
      whole: true,
      adapters: [{ key: 'team-b/v2', ...failed, ...sizes }],
      rollouts: [RolloutReport.create(degraded)],
    });
    const known = await eventually('a report', () => stage.replica.fleet.get(objectKey('team-a', 'app')));
    expect([...known.adapters.keys(), ...known.rollouts.keys()]).toEqual([]);
  });

  it('is not taken for one of theirs', async () => {
    victim();
    expect(await ended(dialPod('team-b'))).toMatchObject({ code: 'PERMISSION_DENIED' });
    expect(wasWritten()).toBe(false);
  });
});
