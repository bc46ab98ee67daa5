import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { aPolicy } from '../../plan/manifests.fixture.ts';
import { aKeyPair, signersOf } from '../../signature/signatures.fixture.ts';
import type { FakeRuntime } from './fake-runtime.ts';
import { adapter, Stage } from './stage.fixture.ts';

const stage = new Stage();
const { connected, eventually } = stage;
const signatures = { required: true, ...signersOf({ release: aKeyPair() }) };
const node = objectKey('adaptlet-system', 'node-1');

describe('a runtime of a version that does not know signatures', () => {
  it('gets what else a policy says, loses the adapters, and is named by its AdapterRuntime', async () => {
    const { objects, fleet } = stage.replica;
    objects.adapters.put(adapter('sql'));
    objects.policies.put(aPolicy('team-a'));
    const runtime = await connected({ policyFields: [] });
    runtime.report({ whole: true });
    await eventually('the first commit', () => runtime.commits === 1);
    runtime.ack(1n);
    expect(runtime.keys()).toEqual(['AdapterSpec team-a/sql', 'Policy team-a/default']);

    objects.policies.put(aPolicy('team-a', { signatures, base: 'Deny' }));
    await eventually('the policy', () => runtime.commits === 2);
    runtime.ack(2n);
    const body = JSON.parse(runtime.of('put').at(-1)?.body.toString() ?? '');
    expect(body).toMatchObject({ base: 'Deny' });
    expect(body).not.toHaveProperty('signatures');
    // What is missing goes once the gate has looked.
    await eventually('the removal', () => runtime.of('remove').includes('AdapterSpec team-a/sql'));
    const state = await eventually('the report', () => {
      const known = fleet.get(node);
      return known?.refused.size === 1 ? known : undefined;
    });
    expect([...state.refused]).toEqual([
      ['Policy team-a/default', expect.stringMatching(/^not enforced there: .*spec\.signatures/)],
    ]);
  });

  it('gets no pull credential for adapters that it is not sent, and no certificate to ask others for them', async () => {
    const { objects, nodes, pulls } = stage.replica;
    const image = 'r.example/team-a/sql:v1';
    objects.adapters.put(adapter('sql', { source: { oci: { image, pullSecretRef: { name: 'login' } } } }));
    objects.policies.put(aPolicy('team-a', { signatures }));
    nodes.label('node-1', { 'topology.kubernetes.io/zone': 'hall-1' });
    nodes.label('node-2', { 'topology.kubernetes.io/zone': 'hall-1' });
    pulls.answer = async () => ({ header: 'Bearer s3cr3t', lifetimeMs: 1_000 });
    const publicKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
      type: 'spki',
      format: 'der',
    });
    const gets = async (runtime: FakeRuntime) => {
      await eventually('the plan', () => runtime.commits > 0);
      const asked = { id: 1n, key: 'team-a/sql', image };
      runtime.send({ $case: 'credential', value: { ...asked, secret: 'login', refused: false } });
      runtime.send({ $case: 'peers', value: { ...asked, publicKey } });
      const credential = await eventually('a credential', () => runtime.of('credential')[0]);
      const peers = await eventually('a certificate', () => runtime.of('peers')[0]);
      return [credential.authorization !== '', peers.certificate !== ''];
    };
    expect(await gets(await connected({ policyFields: [] }))).toEqual([false, false]);
    expect(pulls.asked).toEqual([]);
    expect(await gets(await connected({}, 'node-2'))).toEqual([true, true]);
  });

  it('is told nothing of what it does not know where nothing is sent for it', async () => {
    const { objects, fleet } = stage.replica;
    const runtime = await connected({ policyFields: [] });
    runtime.report({ whole: true });
    objects.policies.put(aPolicy('team-a'));
    await eventually('the first commit', () => runtime.commits === 1);
    runtime.ack(1n);
    objects.policies.put(aPolicy('team-a', { signatures }));
    // Its policy is, without that field, what it has.
    await eventually('the report', () => fleet.get(node)?.refused.size === 1);
    expect(runtime.commits).toBe(1);
  });
});
