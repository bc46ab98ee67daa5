import { expect } from 'vitest';
import type { Claim, Tenants } from '../../../e2e/lab/tenants.ts';
import { waitFor } from '../../../support/wait.ts';
import type { ClusterProbe, ProbeId } from '../probe.ts';
import { manifestOf } from '../stage.ts';

/** `command`: of kubectl, by its words. */
const forbidden = (id: ProbeId, tries: string, command: string, stdin?: string): ClusterProbe => ({
  id,
  tries,
  expected: 'Forbidden, by the API server',
  run: async (t) => {
    const { code, stderr } = await t.kubectl(command.split(' '), stdin);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/\(Forbidden\)|is forbidden: /) as string,
    });
  },
});

const strategy = { canary: { steps: [{ setWeight: 100 }] } };

/** Nothing that team-b asks of this name is answered by the adapter of team-a. */
const isAnsweredByNobody = async ({ stage }: Tenants, model: string): Promise<void> => {
  const seen = await stage.http({ key: stage.keys.app, model });
  expect(seen.status, seen.text).toBeGreaterThanOrEqual(400);
  expect(seen.headers.get('x-adaptlet-adapter')).toBeUndefined();
};

const apply = (t: Tenants, kind: string, name: string, spec: Record<string, unknown>) =>
  t.kubectl(['apply', '-f', '-'], JSON.stringify(manifestOf(kind, 'team-b', name, spec)));

/** Gets at another namespace by an object of its own. */
export const reachCluster: readonly ClusterProbe[] = [
  {
    id: 'reach/route-across',
    tries: 'has a route to team-a/sauce',
    expected: 'Invalid, by the API server',
    run: async (t) => {
      const rules = [{ name: 'all', targets: [{ adapter: 'team-a/sauce' }] }];
      const { stderr } = await apply(t, 'AdapterRoute', 'across', { model: 'across', rules });
      expect(stderr).toMatch(/is invalid: .*spec\.rules\[0\]\.targets\[0\]\.adapter/);
      await isAnsweredByNobody(t, 'across');
    },
  },
  {
    id: 'reach/route-plain',
    tries: "has a route to the plain name of the other's adapter",
    expected: 'TargetMissing in its status, and no answer',
    run: async (t) => {
      const rules = [{ name: 'all', targets: [{ adapter: 'sauce' }] }];
      expect(await apply(t, 'AdapterRoute', 'plain', { model: 'plain', rules })).toMatchObject({ code: 0 });
      expect(await t.condition('art', 'plain', 'ResolvedRefs', 'False')).toMatch(/^TargetMissing/);
      await isAnsweredByNobody(t, 'plain');
    },
  },
  {
    id: 'reach/rollout-plain',
    tries: "has a rollout of the plain name of the other's adapter",
    expected: 'a rollout that has nothing to serve',
    run: async (t) => {
      const applied = await apply(t, 'AdapterRollout', 'stolen', { adapter: 'sauce', strategy });
      expect(applied).toMatchObject({ code: 0 });
      expect(await t.condition('aro', 'stolen', 'Ready', 'False')).toMatch(/sauce/);
      await isAnsweredByNobody(t, 'rollout:stolen');
    },
  },
];

/** Reads what another namespace has, as an editor of its own. */
export const readCluster: readonly ClusterProbe[] = [
  forbidden('read/adapters-kubectl', "lists the other's Adapters", 'get adapters -n team-a'),
  forbidden('read/everything-kubectl', 'lists the Adapters of all namespaces', 'get adapters -A'),
  forbidden('read/policy', "reads the other's policy", 'get adapterpolicies -n team-a'),
  forbidden('read/secrets', "reads the other's Secrets", 'get secrets -n team-a'),
  forbidden('read/runtimes', 'lists the runtimes of nodes', 'get adapterruntimes -n adaptlet-system'),
  forbidden(
    'read/runtime-log',
    'reads the log of a runtime',
    'logs daemonset/adaptlet-runtime -n adaptlet-system',
  ),
  {
    id: 'read/secret-in-metric',
    tries: "names the other's Secret in a metric",
    expected: 'METRIC_CREDENTIALS: it is looked for in team-b alone',
    run: async (t) => {
      const { message, taken } = await t.metric('secret');
      expect({ message, taken }).toEqual({
        message: expect.stringContaining('there is no Secret team-b/login') as string,
        taken: 0,
      });
    },
  },
  {
    id: 'read/analysis',
    tries: "is judged by the other's AdapterAnalysis",
    expected: 'AnalysisNotFound, and the rollout waits',
    run: async (t) => {
      expect(await t.condition('aro', 'judged', 'AnalysesFound', 'False')).toMatch(/^AnalysisNotFound/);
      expect((await t.site.rollout('judged', 'team-b'))?.weights.canary).toBe(0);
    },
  },
  {
    id: 'read/digest',
    tries: "has an Adapter of the other's repository and digest",
    expected: 'SOURCE_NOT_ALLOWED in its status, and no answer',
    run: async (t) => {
      expect(await t.condition('ad', 'outside', 'Accepted', 'False')).toContain('SOURCE_NOT_ALLOWED');
      await isAnsweredByNobody(t, 'outside');
    },
  },
];

const freePolicy = JSON.stringify(
  manifestOf('AdapterPolicy', 'team-b', 'default', { clients: { anonymous: 'Allow' } }),
);

/** Changes what another namespace has, or what binds its own. */
export const writeCluster: readonly ClusterProbe[] = [
  forbidden('write/own-policy', 'changes the policy that binds it', 'apply -f -', freePolicy),
  forbidden('write/delete-policy', 'deletes the policy that binds it', 'delete apol default'),
  forbidden('write/adapter-kubectl', "deletes the other's Adapter", 'delete adapter sauce -n team-a'),
  forbidden(
    'write/promote',
    "promotes the other's rollout",
    'annotate adapterrollout secret-rollout adaptlet.io/request=promote@1 -n team-a',
  ),
  forbidden(
    'write/status',
    'writes the status of its own Adapter',
    'patch adapter own --subresource=status --type=merge -p {"status":{"digest":""}}',
  ),
  forbidden(
    'write/runtime',
    'cordons the runtime of a node',
    'patch adapterruntime node-1 --type=merge -p {"spec":{"cordoned":true}} -n adaptlet-system',
  ),
  forbidden(
    'write/exec',
    'runs a command in a runtime',
    'exec daemonset/adaptlet-runtime -n adaptlet-system -- adaptlet status',
  ),
  forbidden(
    'write/authority',
    "replaces the operator's certificate authority",
    'patch configmap adaptlet-ca --type=merge -p {"data":{"ca.crt":""}} -n adaptlet-system',
  ),
];

/** Fills the plans of nodes. */
export const fillCluster: readonly ClusterProbe[] = [
  {
    id: 'fill/adapters',
    tries: 'has more Adapters than its policy lets count',
    expected: 'ADAPTERS_LIMIT in the status of the youngest, and no answer by it',
    run: async (t) => {
      const { own } = t.stage.ground.sources;
      for (const name of ['third', 'fourth']) {
        const source = own(name === 'third' ? 'digits' : 'hello');
        expect(await apply(t, 'Adapter', name, { baseModel: 'tiny', source })).toMatchObject({ code: 0 });
      }
      // Of the same second, the name decides: then `third` was accepted before, and a node may still have it.
      const refused = await waitFor('one of them to be refused', async () => {
        for (const name of ['third', 'fourth']) {
          const why = await t.conditionNow('ad', name, 'Accepted', 'False');
          if (why !== undefined) return { name, why };
        }
        return undefined;
      });
      expect(refused.why).toContain('ADAPTERS_LIMIT');
      await waitFor(`nobody to answer for ${refused.name}`, async () => {
        await isAnsweredByNobody(t, refused.name);
        return true;
      });
      await t.kubectlOk(['delete', 'adapter', 'third', 'fourth']);
    },
  },
];

const claims = (
  id: ProbeId,
  tries: string,
  expected: RegExp,
  token: (t: Tenants) => Promise<string>,
  { kind = 'Pod', namespace = 'team-b', name = 'app' }: Partial<Claim> = {},
): ClusterProbe => ({
  id,
  tries,
  expected: `${/^\^?(\w+)/.exec(expected.source)?.[1]}, by the operator`,
  run: async (t) => {
    expect(await t.claim(await token(t), { kind, namespace, name })).toMatch(expected);
  },
});
const node = { kind: 'Node', namespace: 'adaptlet-system', name: 'node-1' } as const;
/** What a runtime's token is made for. */
const audience = 'adaptlet';

/** Says to the operator that it is a runtime. */
export const lie: readonly ClusterProbe[] = [
  claims('lie/no-token', 'connects to the operator without a token', /^UNAUTHENTICATED/, async () => ''),
  claims('lie/mounted-token', 'has the token that every pod has', /^UNAUTHENTICATED/, (t) => t.ownToken()),
  claims(
    'lie/pod',
    'makes a token for the operator and is the runtime of its pod',
    /^PERMISSION_DENIED: .*team-b\/default has spec\.runtimes\.pods: Deny/,
    (t) => t.ownToken(audience),
  ),
  claims(
    'lie/node',
    'says with it that it is the runtime of its node',
    /^PERMISSION_DENIED: .*the token belongs to the ServiceAccount team-b\/default/,
    (t) => t.ownToken(audience),
    node,
  ),
  claims(
    'lie/node-here',
    'says that its own namespace has a runtime of the node',
    /^PERMISSION_DENIED: .*team-b\/default may not serve nodes/,
    (t) => t.ownToken(audience),
    { ...node, namespace: 'team-b' },
  ),
  claims(
    'lie/other-pod',
    "has stolen the token of the other's pod",
    /^PERMISSION_DENIED: .*team-a\/default has spec\.runtimes\.pods: Deny/,
    (t) => t.site.lab.token({ namespace: 'team-a', serviceAccount: 'default', audience, boundPod: 'app' }),
    { namespace: 'team-a' },
  ),
  claims(
    'lie/runtime-account',
    "has stolen a token of the runtimes' ServiceAccount that is bound to no pod",
    /^PERMISSION_DENIED: .*the token is bound to no pod/,
    (t) => t.site.lab.token({ namespace: 'adaptlet-system', serviceAccount: 'adaptlet-runtime', audience }),
    node,
  ),
  forbidden(
    'lie/make-token',
    "makes a token of the runtimes' ServiceAccount",
    'create token adaptlet-runtime --audience=adaptlet -n adaptlet-system',
  ),
];

const denied = (id: ProbeId, metric: string, where: string, why: string): ClusterProbe => ({
  id,
  tries: `has a metric at ${where}`,
  expected: `EGRESS_DENIED: ${why}`,
  run: async (t) => {
    const { message, taken } = await t.metric(metric);
    expect(message).toContain(why);
    expect(taken).toBe(0);
  },
});

/** Has the operator ask for it. */
export const egress: readonly ClusterProbe[] = [
  denied('egress/service', 'service', 'https://kubernetes.default.svc', 'is the API server of the cluster'),
  denied('egress/api-server', 'api-server', 'the address of the API server', 'leads to a private address'),
  denied('egress/metadata', 'metadata', 'http://169.254.169.254', 'leads to an address that is link-local'),
  denied('egress/loopback', 'loopback', "the operator's own port", 'leads to an address that is loopback'),
  denied('egress/runtime', 'runtime', 'the metrics of runtimes', 'leads to a private address'),
];
