import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { aPolicy } from '../../plan/manifests.fixture.ts';
import { FakeSecrets } from '../keys/fake-secrets.ts';
import { KeySecrets } from '../keys/key-secrets.ts';
import { aKey, aSecret } from '../keys/secret.fixture.ts';
import { Policies } from '../objects/policies.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { KeysController } from './keys-controller.ts';

const world = () => {
  const cluster = new FakeCluster();
  const secrets = new FakeSecrets();
  const lines: string[] = [];
  cluster.apply(aPolicy('team-a', { clients: { keysFromSecrets: 'Allow' } }));
  const policies = new Policies(cluster.policies);
  const keys = new KeySecrets({ open: secrets.open, namespaces: ['team-a'], policies });
  secrets.sync('team-a');
  const logger = pino({}, { write: (line: string) => void lines.push(line) });
  const controller = new KeysController({ keys, recorder: cluster.recorder, logger });
  const run = (name: string) => controller.reconcile(objectKey('team-a', name), new AbortController().signal);
  return { cluster, secrets, lines, controller, run };
};

describe('a Secret with keys', () => {
  it('that does not count is told of by one event on it and one line in the log, without the key', async () => {
    const { cluster, secrets, lines, run } = world();
    secrets.put(aSecret('bad', { key: 'too-short' }));
    secrets.put(aSecret('good', { key: aKey('a') }));
    for (const name of ['bad', 'good', 'bad']) await run(name);
    expect(cluster.events).toMatchObject([
      {
        regarding: { kind: 'Secret', namespace: 'team-a', name: 'bad', uid: 'uid-team-a-bad' },
        type: 'Warning',
        reason: 'KeysNotTaken',
        note: expect.stringContaining('32 to 512'),
      },
    ]);
    expect(lines).toHaveLength(1);
    expect(JSON.stringify([cluster.events, lines])).not.toContain('too-short');
  });

  it('is told of again once it is wrong again', async () => {
    const { cluster, secrets, run } = world();
    for (const key of ['short', aKey('a'), 'short']) {
      secrets.put(aSecret('app', { key }));
      await run('app');
    }
    expect(cluster.events).toHaveLength(2);
  });

  it('is looked at when the operator starts to lead, and after each change of any', () => {
    const { secrets, controller } = world();
    secrets.put(aSecret('a', { key: aKey('a') }));
    const woken: string[] = [];
    const stop = controller.follow((key) => woken.push(key));
    secrets.put(aSecret('b', { key: aKey('b') }));
    stop();
    secrets.put(aSecret('c', { key: aKey('c') }));
    expect(woken).toEqual(['team-a/a', 'team-a/a', 'team-a/b']);
  });
});
