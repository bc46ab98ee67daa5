import { beforeEach, describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import type { BoundAdapter } from '../../api/rollout-status.ts';
import { AdapterReport, RolloutReport, type SyncResponse } from '../../gen/adaptlet/control/v1/control.ts';
import { anAdapter, aPolicy, aRollout, aStatus } from '../../plan/manifests.fixture.ts';
import { aKeyPair, signersOf } from '../../signature/signatures.fixture.ts';
import type { FakeRuntime } from './fake-runtime.ts';
import { Stage } from './stage.fixture.ts';

const stage = new Stage();
const { eventually, quiet } = stage;
const owners = [{ apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: 'uid-of-node-1' }];
const signatures = { required: true, ...signersOf({ release: aKeyPair() }) };

const bound = (adapter: string): BoundAdapter => ({
  adapter,
  uid: `Adapter-team-a-${adapter}`,
  digest: fakeDigest(adapter.slice(-1)),
});
const follows = (status: Parameters<typeof aStatus>[0]) =>
  stage.replica.objects.rollouts.put(aRollout({ name: 'sql' }, { adapter: 'v2' }, aStatus(status)));
const bodyOf = (runtime: FakeRuntime, key: string): Record<string, unknown> => {
  const last = runtime.of('put').findLast((put) => put.key === key);
  return last === undefined ? {} : JSON.parse(last.body.toString());
};

beforeEach(() => {
  for (const name of ['v1', 'v2', 'v3'])
    stage.replica.objects.adapters.put(anAdapter({ name }, { digest: bound(name).digest }));
});

/** A runtime that serves v2, never had another version, and is cordoned then. */
const cordoned = async (): Promise<FakeRuntime> => {
  follows({ stable: bound('v2') });
  const runtime = stage.dial();
  runtime.call.on('data', ({ message }: SyncResponse) => {
    if (message?.$case === 'commit') runtime.ack(message.value.nonce);
  });
  runtime.hello();
  await eventually('the plan', () => runtime.commits === 1);
  const { uid, digest } = bound('v2');
  runtime.report({
    whole: true,
    adapters: [AdapterReport.create({ key: 'team-a/v2', uid, digest, state: 'Resident' })],
    rollouts: [
      RolloutReport.create({ key: 'team-a/sql', uid: 'AdapterRollout-team-a-sql', stableDigest: digest }),
    ],
  });
  await quiet();
  stage.replica.objects.runtime('adaptlet-system', 'node-1', {}, {}, owners, { cordoned: true });
  return runtime;
};

describe('a runtime that is cordoned', () => {
  it('gets no other stable, but the one that a rollback by hand goes back to', async () => {
    const runtime = await cordoned();
    follows({ stable: bound('v3'), history: [bound('v2')] });
    await quiet();
    expect(bodyOf(runtime, 'Split team-a/sql')).toMatchObject({ stable: { adapter: 'v2' } });
    expect(bodyOf(runtime, 'AdapterSpec team-a/v3')).not.toMatchObject({ tier: 'Memory' });
    const { commits } = runtime;
    const canary = { ...bound('v2'), seed: '0123456789abcdef', attempt: 1 };
    const { uid, digest } = bound('v2');
    const abort = { at: '2026-01-01T00:00:00Z', reason: 'rolled back by hand', uid, digest };
    follows({ stable: bound('v1'), canary, abort, weights: { canary: 0, stable: 100 } });
    await eventually('the rollback', () => runtime.commits > commits);
    expect(bodyOf(runtime, 'Split team-a/sql')).toMatchObject({ stable: { adapter: 'v1' }, weight: 0 });
    expect(bodyOf(runtime, 'AdapterSpec team-a/v1')).toMatchObject({ tier: 'Memory', held: true });
  });

  it('gets the stable that a rollback by the spec goes back to', async () => {
    const runtime = await cordoned();
    follows({ stable: bound('v1'), history: [bound('v2')], completionStatus: 'FastRolledBack' });
    await eventually('the rollback', () => runtime.commits > 1);
    expect(bodyOf(runtime, 'Split team-a/sql')).toMatchObject({ stable: { adapter: 'v1' } });
  });

  it('has what it serves signed, or no longer, as the policy says now, also where no status names that any more', async () => {
    stage.replica.objects.policies.put(aPolicy('team-a', { signatures }));
    const runtime = await cordoned();
    expect(bodyOf(runtime, 'AdapterSpec team-a/v2')).toMatchObject({ signed: true });
    follows({ stable: bound('v3'), history: [bound('v1')] });
    await quiet();
    stage.replica.objects.policies.put(aPolicy('team-a'));
    await eventually('the policy', () => !('signatures' in bodyOf(runtime, 'Policy team-a/default')));
    await quiet();
    expect(bodyOf(runtime, 'AdapterSpec team-a/v2')).not.toHaveProperty('signed');
    expect(bodyOf(runtime, 'Split team-a/sql')).toMatchObject({ stable: { adapter: 'v2' } });
  });

  it('loses what its policy allows no more, also where no status names that any more', async () => {
    const runtime = await cordoned();
    follows({ stable: bound('v3'), history: [bound('v1')] });
    await quiet();
    stage.replica.objects.policies.put(aPolicy('team-a', { sources: { paths: ['v1', 'v3'] } }));
    await eventually('the policy', () => runtime.keys().includes('Policy team-a/default'));
    stage.clock.advance(3_000);
    await eventually('the removal', () => runtime.of('remove').includes('AdapterSpec team-a/v2'));
  });

  it('keeps what it serves when the Adapter of that was deleted, and no status names it', async () => {
    const runtime = await cordoned();
    follows({ stable: bound('v3'), history: [bound('v1')] });
    stage.replica.objects.adapters.delete(objectKey('team-a', 'v2'));
    await quiet();
    stage.clock.advance(10_000);
    await quiet();
    expect(runtime.of('remove')).toEqual([]);
  });
});
