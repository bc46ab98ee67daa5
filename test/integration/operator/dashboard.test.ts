import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { About, AdaptersView, HistoryView, TimelineView } from '../../../src/dashboard/views.ts';
import { clusterAdapter, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { rolloutYaml } from '../../support/moon.ts';
import { openDashboard } from '../../support/open-dashboard.ts';
import type { TestOperator } from '../../support/operator.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';
import { waitFor } from '../../support/wait.ts';

const stack = new AsyncDisposableStack();
let fleet: TestFleet;
let leader: TestOperator;
let follower: TestOperator;
/** Tokens: of somebody who may view one namespace, and of the ServiceAccount of the chart. */
let ofTeam: string;
let ofAll: string;

beforeAll(async () => {
  fleet = stack.use(
    await TestFleet.start({
      replicas: 2,
      runtimes: 1,
      operatorSettings: { 'dashboard-listen': '127.0.0.1:0' },
      nodeSettings: { 'dashboard-listen': '127.0.0.1:0' },
    }),
  );
  const { cluster, namespace } = fleet;
  for (const name of ['upper', 'reverse']) await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
  // On the disk of the runtime, and in its RAM only when somebody asks for it.
  await fleet.apply(await clusterAdapter('digits', 'adapters/digits', '  preload: {tier: Disk}\n'));
  await fleet.apply(rolloutYaml('shout', 'upper', '{setWeight: 100}'));
  await waitFor('the rollout', async () => (await fleet.rollout('shout'))?.phase === 'Healthy');
  await fleet.apply(rolloutYaml('shout', 'reverse', '{setWeight: 20}, {pause: {}}'));
  await waitFor('the pause', async () => (await fleet.rollout('shout'))?.phase === 'Paused');
  await cluster.serviceAccountKubeconfig({ namespace, name: 'viewer' });
  const subject = `--serviceaccount=${namespace}:viewer`;
  await cluster.kubectlOk([
    '-n',
    namespace,
    'create',
    'rolebinding',
    'viewer',
    '--clusterrole=adaptlet-view',
    subject,
  ]);
  ofTeam = await cluster.token({ namespace, serviceAccount: 'viewer' });
  const account = { namespace: systemNamespace, serviceAccount: 'adaptlet-dashboard' };
  ofAll = await cluster.token({ ...account, audience: 'adaptlet-dashboard' });
  leader = await fleet.leader();
  const other = fleet.operators.find((operator) => operator !== leader);
  if (other === undefined) throw new Error('there is one replica only');
  follower = other;
});
afterAll(() => stack.disposeAsync());

const ask = async (operator: TestOperator, path: string, token?: string) => {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(`${operator.dashboard}/api/${path}`, { headers });
  const body: unknown = await response.json();
  return { status: response.status, body };
};
/** What the leader shows to somebody. */
const seen = async (path: string, token: string) => (await ask(leader, path, token)).body;

const codeOf = async (path: string, token?: string, operator = leader) =>
  ((await ask(operator, path, token)).body as { readonly code?: string }).code;

describe('the dashboard of an operator in a cluster', () => {
  it('shows nothing without a token that the API server accepts for it', async () => {
    expect(await codeOf('fleet')).toBe('VIEWER_UNKNOWN');
    expect(await codeOf('fleet', 'wrong')).toBe('VIEWER_UNKNOWN');
    const account = { namespace: systemNamespace, serviceAccount: 'adaptlet-runtime' };
    expect(await codeOf('fleet', await fleet.cluster.token({ ...account, audience: 'adaptlet' }))).toBe(
      'VIEWER_UNKNOWN',
    );
    // A token of a pod is somebody whom the API server knows, and who may list nothing.
    expect(await codeOf('fleet', await fleet.cluster.token(account))).toBe('VIEWER_FORBIDDEN');
  });

  it('shows one namespace to those who may view one', async () => {
    const { namespace } = fleet;
    expect(await codeOf('rollouts', ofTeam)).toBe('VIEWER_FORBIDDEN');
    expect(await codeOf(`rollouts?namespace=${systemNamespace}`, ofTeam)).toBe('VIEWER_FORBIDDEN');
    expect(await codeOf(`timeline?namespace=${namespace}&name=${systemNamespace}/node-0`, ofTeam)).toBe(
      'VIEWER_FORBIDDEN',
    );
    expect(await seen(`rollouts?namespace=${namespace}`, ofTeam)).toMatchObject({
      total: 1,
      items: [{ key: `${namespace}/shout` }],
    });
    // The runtime of the node is in another namespace.
    expect(await seen(`runtimes?namespace=${namespace}`, ofTeam)).toMatchObject({ total: 0 });
  });

  it('shows all to those who may view all: the runtime, its plan, what waits, weights over time', async () => {
    expect(await seen('runtimes', ofAll)).toMatchObject({
      items: [{ key: `${systemNamespace}/node-0`, state: 'Ready' }],
    });
    const timeline = (await seen(`timeline?name=${systemNamespace}/node-0`, ofAll)) as TimelineView;
    expect(timeline.happenings.map(({ what }) => what)).toEqual(
      expect.arrayContaining(['Connected', 'Plan taken']),
    );
    expect(await seen('waiting', ofAll)).toMatchObject({ items: [{ reason: 'AwaitingPromotion' }] });
    const history = (await seen(`history?name=${fleet.namespace}/shout`, ofAll)) as HistoryView;
    const weights = history.samples.map(({ weight }) => weight);
    expect(weights.at(-1)).toBe(20);
    expect(weights.length).toBeGreaterThan(1);
  });

  it('shows of each adapter on how many runtimes it is on the disk and in RAM', async () => {
    const { namespace } = fleet;
    const view = await waitFor('the adapters in their tiers', async () => {
      const found = (await seen('adapters', ofAll)) as AdaptersView;
      return (
        found.tiers.Stored === 1 && found.items.filter(({ serving }) => serving > 0).length === 2 && found
      );
    });
    const nowhere = { Remote: 0, Stored: 0, Resident: 0, Failed: 0 };
    expect(view.tiers).toEqual({ ...nowhere, Stored: 1, Resident: 2 });
    expect(view.items.map(({ key, tiers, serving }) => ({ key, tiers, serving }))).toEqual([
      { key: `${namespace}/digits`, tiers: { ...nowhere, Stored: 1 }, serving: 0 },
      { key: `${namespace}/reverse`, tiers: { ...nowhere, Resident: 1 }, serving: 1 },
      { key: `${namespace}/upper`, tiers: { ...nowhere, Resident: 1 }, serving: 1 },
    ]);
  });

  it('is shown by the leader alone; another replica says who that is', async () => {
    const message = `the replica ${leader.identity} leads, and this one does not`;
    expect(await ask(follower, 'fleet', ofAll)).toMatchObject({ status: 503, body: { message } });
  });

  it('is no part of what others reach: it refuses an address that is not loopback', async () => {
    await expect(fleet.startOperator(5, { 'dashboard-listen': '0.0.0.0:0' })).rejects.toThrow('without TLS');
  });
});

describe('the dashboard of a node', () => {
  it('shows what this node has, does with rollouts, and went through', async () => {
    const [node] = fleet.nodes;
    const get = async (path: string): Promise<unknown> =>
      (await fetch(`${node?.dashboard}/api/${path}`)).json();
    const weight = await waitFor('the canary on the node', async () => {
      const { rollout } = (await get(`history?name=${fleet.namespace}/shout`)) as HistoryView;
      return rollout.weight === 20 && rollout;
    });
    expect(weight).toMatchObject({ stable: 'upper', canary: 'reverse' });
    const tiers = { Remote: 0, Stored: 1, Resident: 2, Failed: 0 };
    expect(await get('adapters')).toMatchObject({ total: 3, tiers });
    const { items } = (await get('runtimes')) as { items: { key: string }[] };
    // The node looks at its operator every five seconds.
    await waitFor('its timeline', async () => {
      const { happenings } = (await get(`timeline?name=${items[0]?.key}`)) as TimelineView;
      const all = new Set(happenings.map(({ what }) => what));
      return all.has('Operator: connected') && all.has(`${fleet.namespace}/upper: Resident`);
    });
  });
});

describe('kubectl adaptlet dashboard', () => {
  const folder = folderOfTests();

  /** No kubelet runs here that would forward a port: this stands for kubectl, and says what it was asked. */
  const forwardTo = (operator: TestOperator): void => {
    const { port } = new URL(operator.dashboard);
    const script = `#!/bin/sh\necho "$@" >> ${folder}/asked\necho "Forwarding from 127.0.0.1:${port} -> 8082"\nexec sleep 600\n`;
    writeFileSync(join(folder, 'kubectl'), script);
    chmodSync(join(folder, 'kubectl'), 0o755);
  };

  it('leads to the leader, and brings a token for the dashboard where the kubeconfig has a certificate', async () => {
    forwardTo(leader);
    const { cluster, namespace } = fleet;
    await using open = await openDashboard(folder, '--kubeconfig', cluster.kubeconfig, '-n', namespace);
    expect(open.address).toContain(`?namespace=${namespace}`);
    const about = await fetch(`${open.url}api/about`);
    expect((await about.json()) as About).toMatchObject({ kind: 'Operator', shownBy: leader.identity });
    const asked = readFileSync(join(folder, 'asked'), 'utf8');
    expect(asked).toContain(
      `-n ${systemNamespace} port-forward --address 127.0.0.1 pod/${leader.identity} :8082`,
    );
  });

  it('shows those who have a token what they may see, and no more', async () => {
    forwardTo(leader);
    const { cluster, namespace } = fleet;
    const kubeconfig = await cluster.serviceAccountKubeconfig({ namespace, name: 'viewer' });
    const subject = `--serviceaccount=${namespace}:viewer`;
    await cluster.kubectlOk([
      '-n',
      systemNamespace,
      'create',
      'role',
      'lease',
      '--verb=get',
      '--resource=leases',
    ]);
    await cluster.kubectlOk([
      '-n',
      systemNamespace,
      'create',
      'rolebinding',
      'lease',
      '--role=lease',
      subject,
    ]);
    await using open = await waitFor('the right', () =>
      openDashboard(folder, '--kubeconfig', kubeconfig).catch(() => undefined),
    );
    expect((await fetch(`${open.url}api/rollouts`)).status).toBe(403);
    expect((await fetch(`${open.url}api/rollouts?namespace=${namespace}`)).status).toBe(200);
  });
});
