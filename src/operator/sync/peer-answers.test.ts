import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { grantUri, peerUri } from '../../control/peer-names.ts';
import { Identity_Kind, type PeersRequest } from '../../gen/adaptlet/control/v1/control.ts';
import { aPolicy } from '../../plan/manifests.fixture.ts';
import { nodeToken, podToken } from './fake-replica.ts';
import type { FakeRuntime } from './fake-runtime.ts';
import { mostPeers, peerAnnotation } from './sites.ts';
import { adapter, Stage } from './stage.fixture.ts';

const stage = new Stage();
const { connected, eventually, dial } = stage;

const zone = 'topology.kubernetes.io/zone';
const image = 'r.example:5000/team-a/sql:v1';
const publicKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
  type: 'spki',
  format: 'der',
});
const request = { id: 7n, key: 'team-a/sql', image, publicKey };

const ask = async (runtime: FakeRuntime, more: Partial<PeersRequest> = {}) => {
  const before = runtime.of('peers').length;
  runtime.send({ $case: 'peers', value: { ...request, ...more } });
  return await eventually('an answer', () => runtime.of('peers')[before]);
};
const inZone = (name: string, of = 'hall-1'): void => stage.replica.nodes.label(name, { [zone]: of });
const joined = (name: string, peerAddress = `10.0.0.${name.replace(/\D/g, '')}:9446`): Promise<FakeRuntime> =>
  connected({ peerAddress }, name);
const withSql = (): void =>
  stage.replica.objects.adapters.put(adapter('sql', { source: { oci: { image } } }));
const planned = async (runtime: FakeRuntime): Promise<FakeRuntime> => {
  await eventually('the plan', () => runtime.commits > 0);
  return runtime;
};
const annotationOf = (name: string): string | undefined =>
  stage.replica.objects.runtimes.get(objectKey('adaptlet-system', name))?.metadata.annotations?.[
    peerAnnotation
  ];

describe('a runtime that asks for its peers', () => {
  it('gets a certificate for its site, its name, the namespace and the repository, and who else is there', async () => {
    withSql();
    for (const name of ['node-1', 'node-2', 'node-3']) inZone(name);
    inZone('node-4', 'hall-2');
    for (const name of ['node-2', 'node-3', 'node-4']) await joined(name);
    await connected({}, 'node-5');
    const runtime = await planned(await joined('node-1'));
    const answer = await ask(runtime);
    expect(answer).toMatchObject({ id: 7n, site: 'hall-1', reason: '', lifetimeMs: 3_600_000n });
    expect(answer.peers).toEqual([
      { runtime: 'adaptlet-system/node-2', address: '10.0.0.2:9446' },
      { runtime: 'adaptlet-system/node-3', address: '10.0.0.3:9446' },
    ]);
    const read = new X509Certificate(answer.certificate);
    const named = { site: 'hall-1', runtime: 'adaptlet-system/node-1' };
    const source = 'oci:r.example:5000/team-a/sql';
    expect(read.subjectAltName).toBe(`URI:${grantUri({ ...named, namespace: 'team-a', source })}`);
    expect(read.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
    expect(read.subject).toBe('CN=adaptlet peer');
    const { bundle } = stage.replica.authority.credentials();
    expect(read.verify(new X509Certificate(bundle).publicKey)).toBe(true);
    expect(read.publicKey.export({ type: 'spki', format: 'der' })).toEqual(publicKey);
  });

  it('gets one to answer with, which is none to ask with', async () => {
    inZone('node-1');
    const answer = await ask(await joined('node-1'), { key: '', image: '' });
    const read = new X509Certificate(answer.certificate);
    expect(read.subjectAltName).toBe(`URI:${peerUri({ site: 'hall-1', runtime: 'adaptlet-system/node-1' })}`);
    expect(read.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(answer).toMatchObject({ site: 'hall-1', peers: [], lifetimeMs: 86_400_000n });
  });

  it('gets none for what is not in its plan, and none without a site', async () => {
    withSql();
    inZone('node-1');
    const runtime = await planned(await joined('node-1'));
    for (const more of [
      { key: 'team-b/sql' },
      { image: 'r.example:5000/team-a/other:v1' },
      { key: 'team-a/sql/x/y/z' },
    ]) {
      const answer = await ask(runtime, more);
      expect(answer).toMatchObject({ certificate: '', peers: [] });
      expect(answer.reason).toContain('no such source');
    }
    const nowhere = await planned(await joined('node-2'));
    expect((await ask(nowhere)).reason).toContain('no label that says its site');
  });

  it('gets none where a policy keeps it from the adapters of the namespace', async () => {
    withSql();
    inZone('node-1');
    stage.replica.objects.policies.put(
      aPolicy('team-a', { runtimes: { nodes: { matchLabels: { 'adaptlet.io/room': 'other' } } } }),
    );
    const runtime = await planned(await joined('node-1'));
    expect((await ask(runtime)).certificate).toBe('');
  });

  it('gets none with a key that is none', async () => {
    withSql();
    inZone('node-1');
    const runtime = await planned(await joined('node-1'));
    const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({
      type: 'spki',
      format: 'der',
    });
    for (const bad of [Buffer.alloc(0), Buffer.from('key'), Buffer.alloc(1000), rsa])
      expect((await ask(runtime, { publicKey: bad })).certificate).toBe('');
    expect((await ask(runtime)).certificate).not.toBe('');
  });

  it('gets none as a pod, and is named to nobody', async () => {
    withSql();
    const pod = dial(podToken('web'));
    pod.hello(
      {
        identity: { namespace: 'team-a', name: 'web', kind: Identity_Kind.POD },
        labels: { [zone]: 'hall-1' },
        peerAddress: '10.0.0.9:9446',
      },
      'web',
    );
    await planned(pod);
    expect((await ask(pod)).reason).toContain('only the runtimes of Nodes');
    inZone('node-1');
    expect((await ask(await planned(await joined('node-1')))).peers).toEqual([]);
  });
});

describe('the address of a runtime', () => {
  it('is on its AdapterRuntime for as long as it has one', async () => {
    const runtime = await joined('node-1');
    expect(annotationOf('node-1')).toBe('10.0.0.1:9446');
    runtime.close();
    await connected({ connectionSeq: 2n }, 'node-1');
    expect(annotationOf('node-1')).toBeUndefined();
  });

  it('is an IP address and a port', async () => {
    for (const peerAddress of [
      'peer.example:1',
      '10.0.0.1',
      '10.0.0.1:0',
      '10.0.0.1:70000',
      '[::1:9446',
      '::1:9446',
      'x'.repeat(99),
    ]) {
      const runtime = dial(nodeToken());
      runtime.hello({ peerAddress });
      expect((await stage.ended(runtime)).error).toBe('HELLO_INVALID');
    }
    await connected({ peerAddress: '[2001:db8::1]:9446' });
    expect(annotationOf('node-1')).toBe('[2001:db8::1]:9446');
  });

  it('is believed of AdapterRuntimes in namespaces of runtimes of nodes alone, and of nobody who is away', async () => {
    withSql();
    inZone('node-1');
    const { objects } = stage.replica;
    const annotations = { [peerAnnotation]: '10.9.9.9:1' };
    objects.runtime('team-a', 'planted', { [zone]: 'hall-1' }, annotations);
    const runtime = await planned(await joined('node-1'));
    expect((await ask(runtime)).peers).toEqual([]);
    objects.runtime('adaptlet-system', 'node-9', { [zone]: 'hall-1' }, annotations);
    expect((await ask(runtime)).peers).toHaveLength(1);
    objects.runtimes.delete(objectKey('adaptlet-system', 'node-9'));
    expect((await ask(runtime)).peers).toEqual([]);
  });

  it('is told of a bounded number of others, the same ones to all who want the same', async () => {
    withSql();
    const { objects } = stage.replica;
    for (let i = 100; i < 200; i++)
      objects.runtime(
        'adaptlet-system',
        `node-${i}`,
        { [zone]: 'hall-1' },
        { [peerAnnotation]: `10.0.0.1:${i}` },
      );
    for (const name of ['node-1', 'node-2']) inZone(name);
    const one = (await ask(await planned(await connected({}, 'node-1')))).peers;
    const two = (await ask(await planned(await connected({}, 'node-2')))).peers;
    expect(one).toHaveLength(mostPeers);
    expect(two).toEqual(one);
  });
});
