import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { aPolicy } from '../../plan/manifests.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { FakeFleet, runtimeKey } from '../testing/fake-fleet.ts';
import { PolicyController } from './controller.ts';
import { tellEveryMs } from './held-back.ts';

const key = objectKey('team-a', 'default');

const world = () => {
  const cluster = new FakeCluster();
  const lines: { msg: string; problems?: string }[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const [fleet, clock] = [new FakeFleet(), new FakeClock()];
  const parts = { objects: cluster, recorder: cluster.recorder, logger, fleet, clock };
  const controller = new PolicyController({
    ...parts,
    policies: { namespace: 'adaptlet-system' },
    keys: { isClosed: (namespace) => namespace === 'team-b' },
  });
  const run = () => controller.reconcile(key, new AbortController().signal);
  const put = (generation: number, reason?: string) =>
    cluster.apply(
      aPolicy('team-a'),
      { generation },
      reason === undefined ? [] : [{ path: ['spec', 'base'], reason }],
    );
  return { cluster, lines, controller, run, put, fleet, clock };
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

describe('a namespace that a limit holds back', () => {
  const [one, two] = [runtimeKey('node-1'), runtimeKey('node-2')];
  const limits = (counts: Readonly<Record<string, number>>) => new Map(Object.entries(counts));
  const start = () => {
    const all = world();
    all.put(1);
    for (const runtime of [one, two]) all.fleet.report(runtime);
    const woken: [string, number][] = [];
    all.controller.follow((policy, afterMs) => woken.push([policy, afterMs]));
    woken.splice(0);
    return { ...all, woken, notes: () => all.cluster.events.map(({ note }) => note) };
  };

  it('is told of by an event on its policy: at once, then every five minutes while it goes on', async () => {
    const { fleet, run, clock, woken, notes, cluster } = start();
    fleet.report(one, { limits: limits({ 'team-a/requests': 3 }) });
    expect(woken).toEqual([[key, 0]]);
    expect(await run()).toEqual({});
    fleet.report(one, { limits: limits({ 'team-a/requests': 10 }) });
    fleet.report(two, { limits: limits({ 'team-a/requests': 1, 'team-a/kvMemory': 2 }) });
    expect(await run()).toEqual({ requeueAfterMs: tellEveryMs });
    expect(notes()).toEqual([
      'limits.requests refused 3 requests of namespace team-a on edge/node-1',
      'limits.kvMemory refused 2 requests of namespace team-a on edge/node-2',
    ]);
    clock.advance(tellEveryMs);
    await run();
    expect(notes().at(-1)).toBe(
      'limits.requests refused 8 requests of namespace team-a on edge/node-1, edge/node-2',
    );
    expect(cluster.events.at(-1)).toMatchObject({ type: 'Warning', reason: 'LimitReached' });
    clock.advance(tellEveryMs);
    expect(await run()).toEqual({});
    expect(notes()).toHaveLength(3);
  });

  it('by the policy of the namespace of the operator is told of there', async () => {
    const { fleet, woken } = start();
    fleet.report(one, { limits: limits({ 'team-b/requests': 1 }) });
    expect(woken).toEqual([['adaptlet-system/default', 0]]);
  });

  it('is told of what was refused since this replica leads, and since the runtime started', async () => {
    const all = world();
    all.put(1);
    all.fleet.report(one, { limits: limits({ 'team-a/requests': 3 }) });
    all.controller.follow(() => undefined);
    await all.run();
    expect(all.cluster.events).toEqual([]);
    all.fleet.report(one, { instance: 'next', limits: limits({ 'team-a/requests': 2 }) });
    await all.run();
    expect(all.cluster.events.map(({ note }) => note)).toEqual([
      expect.stringContaining('refused 2 requests'),
    ]);
  });
});
