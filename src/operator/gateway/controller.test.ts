import { beforeEach, describe, expect, it, vi } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeRequest } from '../../kube/client/api.ts';
import { FakeApi } from '../../kube/testing/fake-api.ts';
import { anAdapter, aRollout, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { silentLog } from '../../telemetry/log.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeCluster } from '../testing/fake-cluster.ts';
import { GatewayController } from './controller.ts';

const maps = '/api/v1/namespaces/gateways/configmaps';
const rewrites = '/apis/llm-d.ai/v1alpha2/namespaces/gateways/inferencemodelrewrites';

let api: FakeApi;
let cluster: FakeCluster;
let clock: FakeClock;
let epoch: number;
let hasRewrites: boolean;
beforeEach(() => {
  [api, cluster, clock, epoch, hasRewrites] = [new FakeApi(), new FakeCluster(), new FakeClock(), 3, true];
  api.before = ({ method, path, query }: KubeRequest) => {
    if (path.startsWith(rewrites) && !hasRewrites) throw new AdaptletError('KUBE_NOT_FOUND', 'no such kind');
    if (method !== 'GET' || (path !== maps && path !== rewrites)) return undefined;
    const labels = (query?.['labelSelector'] ?? '').split(',').map((pair) => pair.split('='));
    const items = [...api.objects].flatMap(([at, object]) =>
      at.startsWith(`${path}/`) &&
      labels.every(([name = '', value]) => object.metadata.labels?.[name] === value)
        ? [object]
        : [],
    );
    return { items, metadata: {} };
  };
});

const controllerWith = (pools: Readonly<Record<string, string>> = {}) =>
  new GatewayController({
    api,
    objects: cluster,
    recorder: cluster.recorder,
    clock,
    logger: silentLog,
    term: { epoch: 3, since: 0, fence: () => epoch },
    gateway: { namespace: 'gateways', pools },
    claims: { conflictOf: () => undefined, onChange: () => () => undefined },
  });
const run = (controller: GatewayController) =>
  controller.reconcile('gateways/models' as never, new AbortController().signal);
const written = (collection: string) =>
  [...api.objects].flatMap(([path, object]) => (path.startsWith(`${collection}/`) ? [object] : []));
const writes = () => api.requests.filter(({ method }) => method !== 'GET').length;

describe('ConfigMaps for gateways', () => {
  it('say by the labels that routers look for which names a base model has', async () => {
    cluster.apply(anAdapter({ name: 'sql' }));
    await run(controllerWith());
    expect(written(maps)).toMatchObject([
      {
        metadata: {
          namespace: 'gateways',
          labels: {
            'inference.networking.k8s.io/bbr-managed': 'true',
            'app.kubernetes.io/managed-by': 'adaptlet',
          },
        },
        data: { baseModel: 'tiny', adapters: '- "sql"\n- "team-a/sql"\n' },
      },
    ]);
    expect(written(rewrites)).toEqual([]);
  });

  it('follow what changes, are not written again for nothing, and go with the last name', async () => {
    const controller = controllerWith();
    const key = cluster.apply(anAdapter({ name: 'sql' }));
    await run(controller);
    await run(controller);
    expect(writes()).toBe(1);
    cluster.apply(anAdapter({ name: 'chat' }));
    await run(controller);
    expect(written(maps)).toMatchObject([{ data: { adapters: expect.stringContaining('"chat"') } }]);
    cluster.remove('Adapter', key);
    cluster.remove('Adapter', 'team-a/chat' as never);
    await run(controller);
    expect(written(maps)).toEqual([]);
  });

  it('that somebody changed are put right in time, and those of others stay', async () => {
    const foreign = {
      metadata: { name: 'theirs', labels: { 'inference.networking.k8s.io/bbr-managed': 'true' } },
    };
    api.put(`${maps}/theirs`, { ...foreign, data: { baseModel: 'other' } });
    const controller = controllerWith();
    cluster.apply(anAdapter({ name: 'sql' }));
    const { requeueAfterMs = 0 } = await run(controller);
    const [path = ''] = [...api.objects.keys()].filter((at) => at.includes('adaptlet-models'));
    const ours = api.objects.get(path);
    api.put(path, { ...ours, data: { baseModel: 'wrong', adapters: '' } });
    clock.advance(requeueAfterMs);
    await run(controller);
    expect(api.objects.get(path)).toMatchObject({ data: { baseModel: 'tiny' } });
    // A new object is none that somebody else has made under this name.
    const applied = api.requests.filter(({ method }) => method === 'PATCH');
    expect(applied.map(({ query }) => query?.['force'])).toEqual(['false', 'true']);
    expect(api.objects.get(`${maps}/theirs`)).toMatchObject({ data: { baseModel: 'other' } });
  });

  it('are not written by a replica that no longer leads', async () => {
    cluster.apply(anAdapter({ name: 'sql' }));
    epoch = 4;
    await expect(run(controllerWith())).rejects.toMatchObject({ code: 'NOT_LEADER' });
    expect(writes()).toBe(0);
  });
});

describe('an InferenceModelRewrite', () => {
  const rollout = (
    annotations: Readonly<Record<string, string>>,
    weights = { stable: 90, canary: 10 },
    matchLabels: Readonly<Record<string, string>> = {},
    name = 'sql',
  ) => {
    for (const adapter of ['v1', 'v2']) cluster.apply(anAdapter({ name: adapter }));
    const canary = { ...bound('v2'), seed: '0123456789abcdef', attempt: 1 };
    const status = aStatus({ stable: bound('v1'), canary, weights });
    cluster.apply(aRollout({ name }, { adapter: 'v2', runtimeSelector: { matchLabels } }, status), {
      annotations,
    });
  };
  const asked = { 'adaptlet.io/gateway-rewrite': 'true' };

  it('takes the share of a canary away also while names cannot be written', async () => {
    rollout(asked);
    const controller = controllerWith({ tiny: 'edge-pool' });
    await run(controller);
    rollout(asked, { stable: 100, canary: 0 });
    cluster.apply(anAdapter({ name: 'more' }));
    const listed = api.before;
    api.before = (request) => {
      if (request.method === 'PATCH' && request.path.startsWith(maps))
        throw new AdaptletError('KUBE_CONFLICT', 'not ours');
      return listed(request);
    };
    await expect(run(controller)).rejects.toMatchObject({ code: 'KUBE_CONFLICT' });
    expect(written(rewrites)).toMatchObject([
      { spec: { rules: [{ targets: [{ modelRewrite: 'team-a/v1', weight: 100 }] }] } },
    ]);
  });

  it('splits a rollout that asks for it as its status says, for the pool of its base model', async () => {
    rollout(asked);
    const controller = controllerWith({ tiny: 'edge-pool' });
    await run(controller);
    const match = (value: string) => ({ model: { type: 'Exact', value } });
    expect(written(rewrites)).toMatchObject([
      {
        metadata: { annotations: { 'adaptlet.io/rollout': 'team-a/sql' } },
        spec: {
          poolRef: { group: 'inference.networking.k8s.io', kind: 'InferencePool', name: 'edge-pool' },
          rules: [
            {
              matches: [match('team-a/sql'), match('sql')],
              targets: [
                { modelRewrite: 'team-a/v1', weight: 90 },
                { modelRewrite: 'team-a/v2', weight: 10 },
              ],
            },
          ],
        },
      },
    ]);
    rollout(asked, { stable: 100, canary: 0 });
    await run(controller);
    expect(written(rewrites)).toMatchObject([
      { spec: { rules: [{ targets: [{ modelRewrite: 'team-a/v1', weight: 100 }] }] } },
    ]);
    rollout({});
    await run(controller);
    expect(written(rewrites)).toEqual([]);
  });

  it('goes where the rollout gets a runtimeSelector, of which an event of the rollout tells once each time', async () => {
    const some = { site: 'lab' };
    const controller = controllerWith({ tiny: 'edge-pool' });
    const told = () => cluster.events.map(({ type, reason, regarding }) => [type, reason, regarding.name]);
    rollout(asked);
    await run(controller);
    expect([written(rewrites).length, told()]).toEqual([1, []]);
    rollout(asked, undefined, some);
    await run(controller);
    const once = ['Warning', 'NoGatewayRewrite', 'sql'];
    expect([written(rewrites).length, told()]).toEqual([0, [once]]);
    expect(cluster.events[0]?.note).toMatch(/runtimeSelector.*Take the annotation/);
    // It goes on, and stays as it is.
    rollout(asked, { stable: 50, canary: 50 }, some);
    await run(controller);
    await run(controller);
    expect(told()).toEqual([once]);
    rollout(asked);
    await run(controller);
    expect([written(rewrites).length, told()]).toEqual([1, [once]]);
    rollout(asked, undefined, some);
    await run(controller);
    rollout({}, undefined, some);
    await run(controller);
    expect([written(rewrites).length, told()]).toEqual([0, [once, once]]);
  });

  it('has one line of the log for all rollouts with a runtimeSelector, and nothing is told by a term that is over', async () => {
    const warn = vi.spyOn(silentLog, 'warn');
    for (const name of ['sql', 'chat']) rollout(asked, undefined, { site: 'lab' }, name);
    epoch = 4;
    await expect(run(controllerWith({ tiny: 'edge-pool' }))).rejects.toMatchObject({ code: 'NOT_LEADER' });
    expect([warn.mock.calls, cluster.events]).toEqual([[], []]);
    epoch = 3;
    await run(controllerWith({ tiny: 'edge-pool' }));
    expect(warn.mock.calls).toEqual([
      [{ rollouts: ['team-a/sql', 'team-a/chat'] }, expect.stringContaining('runtimeSelector')],
    ]);
    expect(cluster.events).toHaveLength(2);
    warn.mockRestore();
  });

  it('is not made without being asked for, nor without a pool', async () => {
    rollout({});
    await run(controllerWith({ tiny: 'edge-pool' }));
    rollout(asked);
    await run(controllerWith({ large: 'other-pool' }));
    expect(written(rewrites)).toEqual([]);
  });

  it('goes when the last pool does, and no right to rewrites is needed where none is asked for', async () => {
    rollout(asked);
    await run(controllerWith({ tiny: 'edge-pool' }));
    expect(written(rewrites)).toHaveLength(1);
    await run(controllerWith());
    expect(written(rewrites)).toEqual([]);
    const listed = api.before;
    api.before = (request: KubeRequest) => {
      if (request.path.startsWith(rewrites)) throw new AdaptletError('KUBE_FORBIDDEN', 'no right');
      return listed?.(request);
    };
    await expect(run(controllerWith())).resolves.toBeDefined();
    await expect(run(controllerWith({ tiny: 'edge-pool' }))).rejects.toMatchObject({
      code: 'KUBE_FORBIDDEN',
    });
  });

  it('is left out where the cluster has no such kind, and the ConfigMaps are written all the same', async () => {
    hasRewrites = false;
    rollout(asked);
    await run(controllerWith({ tiny: 'edge-pool' }));
    expect(written(maps)).toHaveLength(1);
  });
});
