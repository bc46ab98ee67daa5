import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { aPolicy } from '../../plan/manifests.fixture.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { PolicyController } from './controller.ts';

const key = objectKey('team-a', 'default');

const world = () => {
  const cluster = new FakeCluster();
  const lines: { msg: string; problems?: string }[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const controller = new PolicyController({
    objects: cluster,
    recorder: cluster.recorder,
    keys: { isClosed: (namespace) => namespace === 'team-b' },
    logger,
  });
  const run = () => controller.reconcile(key, new AbortController().signal);
  const put = (generation: number, reason?: string) =>
    cluster.apply(
      aPolicy('team-a'),
      { generation },
      reason === undefined ? [] : [{ path: ['spec', 'base'], reason }],
    );
  return { cluster, lines, controller, run, put };
};

describe('an AdapterPolicy that is not valid', () => {
  it('is told of by one event on it and one line in the log, with the field and the reason', async () => {
    const { cluster, lines, run, put } = world();
    put(1, 'spec.base: must be Allow or Deny');
    await run();
    await run();
    expect(cluster.events).toMatchObject([
      {
        regarding: { kind: 'AdapterPolicy', namespace: 'team-a', name: 'default' },
        type: 'Warning',
        reason: 'InvalidSpec',
        note: 'spec.base: must be Allow or Deny; what was valid last stays in force',
      },
    ]);
    expect(lines).toMatchObject([{ problems: 'spec.base: must be Allow or Deny' }]);
    put(2, 'spec.base: is required');
    await run();
    expect(cluster.events).toHaveLength(2);
  });

  it('is no matter once it is corrected or gone', async () => {
    const { cluster, lines, run, put } = world();
    put(1, 'spec.base: is required');
    await run();
    put(2);
    await run();
    cluster.remove('AdapterPolicy', key);
    await run();
    expect(cluster.events).toHaveLength(1);
    expect(lines.map(({ msg }) => msg)).toEqual([
      'an AdapterPolicy is not valid; the last valid one stays in force',
      'an AdapterPolicy is in force',
    ]);
  });

  it('that allows keys out of Secrets which nobody reads is told of, with what to do', async () => {
    const { cluster, controller } = world();
    for (const namespace of ['team-a', 'team-b']) {
      cluster.apply(aPolicy(namespace, { clients: { keysFromSecrets: 'Allow' } }));
      await controller.reconcile(objectKey(namespace, 'default'), new AbortController().signal);
    }
    expect(cluster.events).toMatchObject([
      {
        regarding: { namespace: 'team-b' },
        reason: 'SecretsNotRead',
        note: expect.stringContaining('list it in credentials.namespaces of the chart'),
      },
    ]);
  });

  it('is looked at when the operator starts to lead, and after each change', () => {
    const { cluster, controller, put } = world();
    put(1);
    const woken: string[] = [];
    const stop = controller.follow((one) => woken.push(one));
    put(2);
    stop();
    put(3);
    expect([woken, cluster.events]).toEqual([[key, key], []]);
  });
});
