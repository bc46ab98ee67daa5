import { describe, expect, it } from 'vitest';
import { waitFor } from '../../../test/support/wait.ts';
import { objectKey } from '../../api/names.ts';
import { noRevision } from '../../control/revision.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { Identity_Kind } from '../../gen/adaptlet/control/v1/control.ts';
import { aRoute } from '../../plan/manifests.fixture.ts';
import { nodeToken, podToken } from './fake-replica.ts';
import type { FakeRuntime } from './fake-runtime.ts';
import { adapter, Stage } from './stage.fixture.ts';

const stage = new Stage();
const { dial, eventually, ended, connected, quiet } = stage;

describe('who may connect', () => {
  it.each<[string, string, string]>([
    ['no token', '', 'UNAUTHENTICATED'],
    ['a token that is not accepted', `stranger.${'x'.repeat(20)}.x`, 'UNAUTHENTICATED'],
    ['the token of another node', nodeToken('node-2'), 'PERMISSION_DENIED'],
    ['the token of a pod', podToken('app'), 'PERMISSION_DENIED'],
  ])('is nobody with %s', async (_, token, code) => {
    const runtime = dial(token);
    runtime.hello();
    expect(await ended(runtime)).toMatchObject({ code });
    expect(runtime.welcomed).toBe(false);
    expect(
      stage.api.requests.some(({ method, path }) => method === 'PATCH' && path.includes('runtimes')),
    ).toBe(false);
  });

  it('is a pod for itself, in its namespace', async () => {
    const runtime = dial(podToken('app'));
    runtime.hello({ identity: { namespace: 'team-a', name: 'app', kind: Identity_Kind.POD } });
    await eventually('a Welcome', () => runtime.welcomed);
    expect(
      stage.replica.objects.runtimes.get(objectKey('team-a', 'app'))?.metadata.ownerReferences,
    ).toMatchObject([{ kind: 'Pod', uid: 'uid-of-app' }]);
  });

  it('is a runtime that was here a moment ago, also while the API server is down', async () => {
    (await connected()).close();
    stage.clock.advance(120_000);
    stage.api.down = new AdaptletError('KUBE_UNAVAILABLE', 'down');
    const again = await connected({ connectionSeq: 2n });
    expect(again.ended).toBeUndefined();
    const unknown = dial(nodeToken('node-9'));
    unknown.hello({}, 'node-9');
    expect(await ended(unknown)).toMatchObject({ code: 'UNAVAILABLE' });
  });

  it.each<[string, object]>([
    ['another protocol', { protocol: 2 }],
    ['a kind that is none', { identity: { namespace: 'adaptlet-system', name: 'node-1', kind: 9 } }],
    ['no identity', { identity: undefined }],
    [
      'a name that is none',
      { identity: { namespace: 'adaptlet-system', name: '../x', kind: Identity_Kind.NODE } },
    ],
    ['labels that are none', { labels: { 'x y': 'z' } }],
    ['too many labels', { labels: Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`l${n}`, ''])) }],
    ['too many resources', { held: Array.from({ length: 50_001 }, () => ({ key: 'a', version: 'b' })) }],
    ['a key that is too long', { held: [{ key: 'x'.repeat(401), version: '' }] }],
    ['too many names', { subscriptions: Array.from({ length: 10_001 }, () => 'a/b') }],
    ['no instance', { instance: '' }],
    ['a digest that is none', { baseDigest: 'sha256:x' }],
    ['no base model', { baseModel: '' }],
  ])('is nobody that says Hello with %s', async (_, more) => {
    const runtime = dial();
    runtime.hello(more);
    const end = await ended(runtime);
    expect(end).toMatchObject({ code: 'FAILED_PRECONDITION', error: 'HELLO_INVALID' });
    expect(end.details.length).toBeLessThan(1_000);
  });

  it.each<[string, (runtime: FakeRuntime) => void]>([
    ['a report first', (runtime) => runtime.report({ whole: true })],
    ['nothing', () => undefined],
  ])('is nobody that sends %s', async (_, send) => {
    const runtime = dial();
    send(runtime);
    const end = await waitFor('the end of the stream', () => {
      stage.clock.advance(1_000);
      return runtime.ended;
    });
    expect(end).toMatchObject({ code: 'FAILED_PRECONDITION', error: 'HELLO_INVALID' });
  });

  it.each<[string, (runtime: FakeRuntime) => void]>([
    ['a second Hello', (runtime) => runtime.hello()],
    ['a first report without everything', (runtime) => runtime.report({ whole: false })],
    ['a report about no object', (runtime) => runtime.report({ whole: true, gone: ['nothing'] })],
    ['too many names', (runtime) => runtime.subscribe(...Array.from({ length: 10_001 }, () => 'a/b'))],
  ])('is ended for %s', async (_, send) => {
    const runtime = await connected();
    send(runtime);
    expect(await ended(runtime)).toMatchObject({ code: 'FAILED_PRECONDITION', error: 'HELLO_INVALID' });
  });
});

describe('two connections of one runtime', () => {
  it('are one: the higher connectionSeq ends the other', async () => {
    const old = await connected({ connectionSeq: 5n });
    const young = await connected({ connectionSeq: 6n });
    expect(await ended(old)).toMatchObject({ code: 'FAILED_PRECONDITION', error: 'CONNECTION_REPLACED' });
    expect(young.ended).toBeUndefined();
    expect(stage.replica.server.gauges().replaced).toBe(1);
  });

  it.each([4n, 5n])('are one: %s is not taken after 5', async (connectionSeq) => {
    const first = await connected({ connectionSeq: 5n });
    const late = dial();
    late.hello({ connectionSeq });
    expect(await ended(late)).toMatchObject({ error: 'CONNECTION_REPLACED' });
    expect(first.ended).toBeUndefined();
  });

  it('are told apart for a minute after the newer one ended', async () => {
    (await connected({ connectionSeq: 5n })).close();
    await eventually('the end', () => stage.replica.server.gauges().streams === 0);
    const late = dial();
    late.hello({ connectionSeq: 4n });
    expect(await ended(late)).toMatchObject({ error: 'CONNECTION_REPLACED' });
    stage.clock.advance(60_000);
    await connected({ connectionSeq: 4n });
  });

  it('leave the fleet with the newer one', async () => {
    const key = objectKey('adaptlet-system', 'node-1');
    const old = await connected({ connectionSeq: 5n });
    old.report({ whole: true });
    await eventually('a report', () => stage.replica.fleet.get(key)?.connectionSeq === 5n);
    const young = await connected({ connectionSeq: 6n });
    young.report({ whole: true, ready: true, message: 'ok' });
    await eventually('the newer report', () => stage.replica.fleet.get(key)?.connectionSeq === 6n);
    stage.clock.advance(11_000);
    await quiet();
    expect(stage.replica.fleet.get(key)).toMatchObject({ connected: true, ready: true, connectionSeq: 6n });
  });
});

describe('the AdapterRuntime of a runtime', () => {
  const patches = () => stage.api.requests.filter(({ method }) => method === 'PATCH');

  it('is applied with the labels of the Hello and its owner, once', async () => {
    const labels = { zone: 'a' };
    (await connected({ labels })).close();
    expect(patches()).toMatchObject([
      {
        path: '/apis/adaptlet.io/v1alpha1/namespaces/adaptlet-system/adapterruntimes/node-1',
        query: { fieldManager: 'adaptlet-runtime', force: 'true' },
        contentType: 'application/apply-patch+yaml',
        body: {
          apiVersion: 'adaptlet.io/v1alpha1',
          kind: 'AdapterRuntime',
          metadata: {
            labels,
            ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'node-1', uid: 'uid-of-node-1' }],
          },
        },
      },
    ]);
    await connected({ labels, connectionSeq: 2n });
    expect(patches()).toHaveLength(1);
  });

  it.each<[string, Record<string, string>]>([
    ['has another value', { zone: 'b' }],
    ['is new', { zone: 'a', more: 'x' }],
    ['is gone', {}],
  ])('is applied anew when a label %s', async (_, labels) => {
    (await connected({ labels: { zone: 'a' } })).close();
    await connected({ labels, connectionSeq: 2n });
    expect(patches()).toHaveLength(2);
  });

  it('has the labels of its Node, whatever the runtime says of them', async () => {
    stage.replica.nodes.label('node-1', { 'adaptlet.io/site': 'a', team: 'not in the list' });
    const labels = { 'adaptlet.io/site': 'forged', 'topology.kubernetes.io/zone': 'forged', own: 'x' };
    await connected({ labels });
    const key = objectKey('adaptlet-system', 'node-1');
    expect(stage.replica.objects.runtimes.get(key)?.metadata.labels).toEqual({
      'adaptlet.io/site': 'a',
      own: 'x',
    });
  });

  it('follows its Node, and no other one', async () => {
    await connected({ labels: { own: 'x' } });
    stage.replica.nodes.label('node-2', { 'adaptlet.io/site': 'b' });
    await quiet();
    expect(patches()).toHaveLength(1);
    const label = (site: string) => stage.replica.nodes.label('node-1', { 'adaptlet.io/site': site });
    // The second one comes while the first is being written.
    label('a');
    label('b');
    const key = objectKey('adaptlet-system', 'node-1');
    await eventually('the last label', () => {
      const labels = stage.replica.objects.runtimes.get(key)?.metadata.labels;
      return labels?.['adaptlet.io/site'] === 'b' && labels['own'] === 'x';
    });
    stage.replica.nodes.label('node-1', {});
    await eventually('the end of the label', () => {
      const labels = stage.replica.objects.runtimes.get(key)?.metadata.labels;
      return labels !== undefined && !('adaptlet.io/site' in labels);
    });
  });

  it('is one of several of a node: each has a name of its own and the Node as its owner', async () => {
    stage.replica.nodes.label('node-1', { 'adaptlet.io/site': 'a' });
    for (const name of ['node-1', 'node-1.model-qwen']) {
      const runtime = dial(nodeToken('node-1'));
      runtime.hello({}, name);
      await eventually('a Welcome', () => runtime.welcomed);
      expect(stage.replica.objects.runtimes.get(objectKey('adaptlet-system', name))?.metadata).toMatchObject({
        labels: { 'adaptlet.io/site': 'a' },
        ownerReferences: [{ kind: 'Node', name: 'node-1', uid: 'uid-of-node-1' }],
      });
    }
  });

  it('keeps labels of others, and the plan follows them', async () => {
    await connected({ labels: { zone: 'a' } });
    const key = objectKey('adaptlet-system', 'node-1');
    const { metadata } = stage.replica.objects.runtimes.get(key) ?? {};
    stage.replica.objects.runtime(
      'adaptlet-system',
      'node-1',
      { zone: 'a', team: 'x' },
      { ...metadata?.annotations },
      metadata?.ownerReferences ?? [],
    );
    await connected({ labels: { zone: 'a' }, connectionSeq: 2n });
    expect(patches()).toHaveLength(1);
  });

  it('is written anew when somebody deletes it under a runtime that is here', async () => {
    const runtime = await connected();
    stage.replica.objects.runtimes.delete(objectKey('adaptlet-system', 'node-1'));
    await eventually('another one', () =>
      stage.replica.objects.runtimes.get(objectKey('adaptlet-system', 'node-1')),
    );
    stage.replica.objects.adapters.put(adapter('sql'));
    await eventually('a commit', () => runtime.commits === 1);
    expect(patches()).toHaveLength(2);
  });
});

describe('a replica that is behind the runtime', () => {
  const ahead = { ...noRevision, adapters: 1_000n };
  it('waits until it has seen as much', async () => {
    const runtime = dial();
    runtime.hello({ clusterUid: 'cluster-1', revision: ahead });
    await quiet();
    expect(runtime.messages).toEqual([]);
    stage.replica.objects.progress({ adapters: 1_000n });
    await eventually('a Welcome', () => runtime.welcomed);
    // No object tells of what the runtime saw; the commit may claim it all the same, else it would never be sent.
    stage.replica.objects.routes.put(aRoute({ name: 'x' }));
    await eventually('a commit', () => runtime.commits === 1);
    expect(stage.replica.objects.revision().adapters).toBe(0n);
    expect(runtime.of('commit')[0]?.revision?.adapters).toBe(1_000n);
  });

  it('gives up before the runtime does, and says what to do about a restored cluster', async () => {
    const runtime = dial();
    runtime.hello({ clusterUid: 'cluster-1', revision: ahead });
    const end = await waitFor('the end of the stream', () => {
      stage.clock.advance(1_000);
      return runtime.ended;
    });
    expect(end).toMatchObject({ code: 'UNAVAILABLE', error: 'REPLICA_BEHIND' });
    expect(end.details).toContain('adaptlet trust-cluster');
  });

  it('does not compare itself with another cluster: the runtime decides about that', async () => {
    await connected({ clusterUid: 'another', revision: ahead });
  });
});
