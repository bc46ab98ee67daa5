import { beforeEach, describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { aPolicy } from '../../plan/manifests.fixture.ts';
import { Policies } from '../objects/policies.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { FakeSecrets } from './fake-secrets.ts';
import { KeySecrets } from './key-secrets.ts';
import { aKey, aSecret, sha256 } from './secret.fixture.ts';

const allow = { clients: { keysFromSecrets: 'Allow' as const } };
let cluster: FakeCluster;
let secrets: FakeSecrets;
let keys: KeySecrets;
const start = (...namespaces: readonly string[]): void => {
  const policies = new Policies(cluster.policies, 'ops');
  keys = new KeySecrets({ open: secrets.open, namespaces, policies });
};
beforeEach(() => {
  cluster = new FakeCluster();
  secrets = new FakeSecrets();
});
const planned = () =>
  Object.fromEntries(keys.resources().map(({ name, body }) => [name, body.keys.map((one) => one.name)]));
const put = (name: string, namespace = 'team-a') =>
  secrets.put(aSecret(name, { key: aKey(`${namespace}-${name}`) }, { namespace }));

describe('the Secrets with keys', () => {
  it('are read where the administrator opened the namespace and its policy allows it, and nowhere else', () => {
    for (const namespace of ['team-a', 'team-c', 'ops']) cluster.apply(aPolicy(namespace, allow));
    cluster.apply(aPolicy('team-b'));
    start('team-a', 'team-b', 'ops');
    expect(secrets.opened).toEqual(['team-a']);
    expect([keys.isClosed('team-a'), keys.isClosed('team-c'), keys.isClosed('ops')]).toEqual([
      false,
      true,
      false,
    ]);
  });

  it('follow the default policy where the namespace has none', () => {
    start('team-a');
    expect(secrets.opened).toEqual([]);
    cluster.apply(aPolicy('ops', allow));
    expect(secrets.opened).toEqual(['team-a']);
  });

  it('are unknown until they were listed, and then what there is, each change at once', () => {
    cluster.apply(aPolicy('team-a', allow));
    start('team-a');
    let told = 0;
    keys.onChange(() => told++);
    expect([planned(), keys.unread()]).toEqual([{}, ['team-a/secrets']]);
    secrets.sync('team-a');
    expect([planned(), keys.unread(), told]).toEqual([{ 'team-a/secrets': [] }, [], 1]);
    put('app');
    expect([planned(), told]).toEqual([{ 'team-a/secrets': ['secret:app'] }, 2]);
    // Touched, and the same.
    put('app');
    expect(told).toBe(2);
    secrets.remove(objectKey('team-a', 'app'));
    expect([planned(), told]).toEqual([{ 'team-a/secrets': [] }, 3]);
  });

  it('go at once where the policy does not allow them any more, and the watch with them', () => {
    cluster.apply(aPolicy('team-a', allow));
    start('team-a');
    secrets.sync('team-a');
    put('app');
    cluster.apply(aPolicy('team-a'));
    expect(planned()).toEqual({ 'team-a/secrets': [] });
    expect([secrets.closed, keys.unread()]).toEqual([['team-a'], []]);
    cluster.apply(aPolicy('team-a', allow));
    expect([planned(), keys.unread()]).toEqual([{}, ['team-a/secrets']]);
  });

  it('stay where nobody knows what the policy says', () => {
    const invalid = [{ path: ['spec'], reason: 'spec: is wrong' }];
    cluster.apply(aPolicy('team-a', allow), {}, invalid);
    start('team-a');
    expect(keys.unread()).toEqual(['team-a/secrets']);
    cluster.apply(aPolicy('team-a', allow));
    secrets.sync('team-a');
    put('app');
    cluster.apply(aPolicy('team-a', allow), {}, invalid);
    expect(planned()).toEqual({ 'team-a/secrets': ['secret:app'] });
  });

  it('have the rights of the policy as it is now, and lose a key that a policy takes', () => {
    const annotations = { 'adaptlet.io/rights': 'Users' };
    cluster.apply(aPolicy('team-a', allow));
    start('team-a');
    secrets.sync('team-a');
    secrets.put(aSecret('app', { key: aKey('a') }, { annotations }));
    expect(keys.problemOf(objectKey('team-a', 'app'))).toContain('rightsFromSecrets');
    cluster.apply(aPolicy('team-a', { clients: { ...allow.clients, rightsFromSecrets: ['Users'] } }));
    expect(keys.resources()[0]?.body.keys).toMatchObject([{ rights: ['Users'] }]);
    cluster.apply(aPolicy('team-b', { clients: { apiKeys: [{ name: 'k', sha256: sha256(aKey('a')) }] } }));
    expect(planned()).toEqual({ 'team-a/secrets': [] });
  });
});
