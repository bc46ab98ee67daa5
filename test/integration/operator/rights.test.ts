import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  operatorClusterRules,
  operatorNamespaceRules,
  type Right,
  type Rule,
  rightsOf,
} from '../../../src/operator/rbac.ts';
import { type Kind, startCluster } from '../../cluster/index.ts';
import { type AuditedRequest, AuditLog } from '../../support/audit.ts';
import { clusterAdapter, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import { waitFor } from '../../support/wait.ts';

const account = (name: string): string => `system:serviceaccount:${systemNamespace}:${name}`;
const [operator, runtime] = [account('adaptlet-operator'), account('adaptlet-runtime')];

/** `role`: the one that grants it, as the API server calls it. */
type Granted = Right & { readonly role: string };

const grantedBy = (role: string, rules: readonly Rule[]): Granted[] =>
  rightsOf(rules).map((right) => ({ ...right, role }));

const granted = [
  ...grantedBy('of ClusterRole "adaptlet-operator"', operatorClusterRules),
  ...grantedBy('of Role "adaptlet-operator"', operatorNamespaceRules),
];

/**
 * Whether a request needed a right. A server-side apply that made its object (201) needed `create` as well: the API
 * server asks for it, and notes only the patch.
 */
const needed = (request: AuditedRequest, right: Granted): boolean =>
  (request.verb === right.verb ||
    (right.verb === 'create' && request.verb === 'patch' && request.code === 201)) &&
  request.group === right.group &&
  request.resource === right.resource &&
  (right.name === undefined || request.name === right.name) &&
  request.allowedBy.includes(right.role);

const textOf = ({ verb, group, resource, name }: Right): string =>
  `${verb} ${group}/${resource}${name === undefined ? '' : ` ${name}`}`;

const stack = new AsyncDisposableStack();
let audit: AuditLog;
let fleet: TestFleet;
beforeAll(async () => {
  audit = stack.use(await AuditLog.of([operator, runtime]));
  const cluster = stack.use(await startCluster({ controllerManager: true, apiServerFlags: audit.flags }));
  fleet = stack.use(
    await TestFleet.start({
      cluster,
      replicas: 2,
      runtimes: 2,
      operatorSettings: { 'dashboard-listen': '127.0.0.1:0' },
    }),
  );
  for (const name of ['upper', 'reverse']) await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
});
afterAll(() => stack.disposeAsync());

const point = (adapter: string, steps: string) => fleet.apply(rolloutYaml('shout', adapter, steps));
const phase = (wanted: string) =>
  waitFor(`phase ${wanted}`, async () => (await fleet.rollout('shout'))?.phase === wanted);
const kubectl = (...args: readonly string[]) => fleet.cluster.kubectlOk(args);
const inTeam = (...args: readonly string[]) => kubectl('-n', fleet.namespace, ...args);
const gone = (kind: Kind, name: string) =>
  waitFor(`the end of ${kind} ${name}`, async () => (await fleet.get(kind, name)) === undefined);

describe('an operator with the rights of the chart', () => {
  it('brings a canary, gives it up twice, and goes back', async () => {
    await point('upper', '{setWeight: 100}');
    await phase('Healthy');
    await point('reverse', '{setWeight: 20}, {pause: {}}');
    await phase('Paused');
    for (const verb of ['abort', 'retry', 'abort'])
      expect(await fleet.plugin(verb, 'shout')).toMatchObject({ code: 0 });
    await phase('Degraded');
    await point('upper', '{setWeight: 100}');
    await phase('Healthy');
  });

  it('tells where its rollouts stand and how they ended, on the replica that leads only', async () => {
    const leader = await fleet.leader();
    const labels = `namespace="${fleet.namespace}",name="shout"`;
    const text = await waitFor('what the leader has seen', async () => {
      const told = await leader.metrics();
      const info = `adaptlet_rollout_info{${labels},strategy="canary",phase="Healthy"} 1\n`;
      return told.includes(info) && told;
    });
    expect(text).toContain(`adaptlet_rollout_weight{${labels}} 0\n`);
    expect(text).toContain(`adaptlet_rollout_events_total{${labels},type="Warning",reason="Aborted"} 2\n`);
    expect(text).toContain('adaptlet_rollout_completed_total{completion="Aborted"} 2\n');
    const [other] = fleet.operators.filter((replica) => replica !== leader);
    expect(await other?.metrics()).toContain('adaptlet_operator_leader 0\n');
    expect(await other?.metrics()).not.toContain('adaptlet_rollout');
  });

  it('shows its dashboard to those who may list what is on it', async () => {
    const viewer = { namespace: systemNamespace, serviceAccount: 'adaptlet-dashboard' };
    const token = await fleet.cluster.token({ ...viewer, audience: 'adaptlet-dashboard' });
    const { dashboard } = await fleet.leader();
    const headers = { authorization: `Bearer ${token}` };
    expect((await fetch(`${dashboard}/api/rollouts`, { headers })).status).toBe(200);
  });

  it('routes, and takes a deleted route back', async () => {
    await fleet.apply(
      'apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRoute\nmetadata: {name: assistant}\nspec:\n  model: assistant\n  rules: [{name: all, targets: [{rollout: shout}]}]\n',
    );
    const answer = (node: TestFleet['nodes'][number]) => askMoon(node, 'assistant').then(({ text }) => text);
    for (const node of fleet.nodes)
      await waitFor('the route', async () => (await answer(node)) === moon.upper);
    await waitFor('programmed', async () => {
      const route = await fleet.get<{ status?: { runtimes: { programmed: number } } }>('art', 'assistant');
      return route?.status?.runtimes.programmed === 2;
    });
    await inTeam('delete', 'art', 'assistant');
    for (const node of fleet.nodes)
      await waitFor('the end of the route', () =>
        answer(node).then(
          () => false,
          (error: { code?: string }) => error.code === 'MODEL_NOT_FOUND',
        ),
      );
  });

  it('says of an Adapter that a laxer CRD let through that it is not valid', async () => {
    const regex = 'spec/properties/validation/properties/smokeTests/items/properties/expect/properties/regex';
    const path = `/spec/versions/0/schema/openAPIV3Schema/properties/${regex}/x-kubernetes-validations`;
    const laxer = JSON.stringify([{ op: 'add', path, value: [] }]);
    await kubectl('patch', 'crd', 'adapters.adaptlet.io', '--type=json', '-p', laxer);
    const test = '{name: t, prompt: "moon:", maxTokens: 4, expect: {regex: "(?=x)"}}';
    const yaml = await clusterAdapter(
      'lookahead',
      'adapters/digits',
      `  validation: {smokeTests: [${test}]}\n`,
    );
    await waitFor('the laxer CRD', () => fleet.apply(yaml));
    await waitFor('the verdict', async () => {
      const found = await fleet.get<{ status?: { conditions: { reason: string }[] } }>('ad', 'lookahead');
      return found?.status?.conditions.some(({ reason }) => reason === 'InvalidSpec');
    });
  });

  it('lets a deleted Adapter go once no rollout needs it', async () => {
    await inTeam('delete', 'ad', 'upper', '--wait=false');
    await waitFor('the event that it is kept', async () =>
      (await inTeam('get', 'events.events.k8s.io', '-o', 'jsonpath={..reason}')).split(' ').includes('Kept'),
    );
    expect(await fleet.get('ad', 'upper')).toBeDefined();
    await inTeam('delete', 'aro', 'shout');
    await gone('ad', 'upper');
    const leader = await fleet.leader();
    await waitFor('the end of its metrics', async () => !(await leader.metrics()).includes('name="shout"'));
  });

  it('repairs the certificate authority when another replica leads', async () => {
    const authority = (kind: string, ...more: readonly string[]) =>
      kubectl('-n', systemNamespace, ...more, kind, 'adaptlet-ca');
    const published = async (): Promise<string> => {
      const text = await kubectl('-n', systemNamespace, 'get', 'configmap', 'adaptlet-ca', '-o', 'json');
      return (JSON.parse(text) as { data: { 'ca.crt': string } }).data['ca.crt'];
    };
    const patch = (kind: string, body: unknown) =>
      authority(kind, 'patch', '--type=merge', '-p', JSON.stringify(body));
    const bundle = await published();
    const over = { 'former.crt': bundle, 'former.until': '2020-01-01T00:00:00.000Z' };
    await patch('secret', { stringData: over });
    await patch('configmap', { data: { 'ca.crt': '' } });
    const leader = await fleet.leader();
    await leader.end('SIGTERM');
    expect(await fleet.leader()).not.toBe(leader);
    await fleet.startOperator(fleet.operators.indexOf(leader));
    expect(await published()).toBe(bundle);
    expect(await authority('secret', 'get', '-o', 'jsonpath={.data}')).not.toContain('former');
    await waitFor('both runtimes', async () => {
      const all = await Promise.all([0, 1].map((i) => fleet.runtime(i)));
      return all.every((status) =>
        status?.conditions.some(({ type, status: is }) => type === 'Connected' && is === 'True'),
      );
    });
  });

  it('was never refused anything', async () => {
    const requests = await audit.requests();
    expect(requests.length).toBeGreaterThan(50);
    expect(requests.filter(({ code }) => code === 403)).toEqual([]);
  });

  it('needed everything that it may do', async () => {
    const requests = await audit.requests();
    const unused = granted.filter((right) => !requests.some((request) => needed(request, right)));
    expect(unused.map(textOf)).toEqual([]);
  });

  it('may not read what is not its own', async () => {
    const can = async (user: string, ...what: readonly string[]): Promise<string> =>
      (
        await fleet.cluster.kubectl('auth', 'can-i', ...what, '-n', systemNamespace, `--as=${user}`)
      ).stdout.trim();
    expect(await can(operator, 'get', 'secrets/adaptlet-ca')).toBe('yes');
    expect(await can(operator, 'get', 'secrets/other')).toBe('no');
    expect(await can(operator, 'list', 'secrets')).toBe('no');
    expect(await can(operator, 'delete', 'adapters.adaptlet.io')).toBe('no');
  });
});

it('a runtime asks the API server for nothing, and could not', async () => {
  const requests = await audit.requests();
  expect(requests.filter(({ user }) => user === runtime)).toEqual([]);
  for (const what of ['adapters.adaptlet.io', 'secrets', 'configmaps']) {
    const { stdout } = await fleet.cluster.kubectl('auth', 'can-i', 'get', what, `--as=${runtime}`);
    expect(stdout.trim()).toBe('no');
  }
});
