import { afterAll, beforeAll, expect, it } from 'vitest';
import { startCluster } from '../../cluster/index.ts';
import { clusterAdapter, grantByChart, TestFleet } from '../../support/fleet.ts';
import { rolloutYaml } from '../../support/moon.ts';
import { waitFor } from '../../support/wait.ts';

/** As far as the operator writes it; defaults and status are of llm-d. */
const crd = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: inferencemodelrewrites.llm-d.ai}
spec:
  group: llm-d.ai
  scope: Namespaced
  names: {kind: InferenceModelRewrite, plural: inferencemodelrewrites, singular: inferencemodelrewrite}
  versions:
    - name: v1alpha2
      served: true
      storage: true
      schema:
        openAPIV3Schema: {type: object, properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`;

const stack = new AsyncDisposableStack();
let fleet: TestFleet;
let gateways: string;
beforeAll(async () => {
  const cluster = stack.use(await startCluster({ controllerManager: true }));
  gateways = await cluster.createNamespace('gateways');
  const operatorSettings = { 'gateway-namespace': gateways, 'gateway-pools': 'tiny=edge-pool' };
  fleet = stack.use(await TestFleet.start({ cluster, replicas: 1, runtimes: 1, operatorSettings }));
  await grantByChart(cluster, `operator.gateway.namespace=${gateways}`);
});
afterAll(() => stack.disposeAsync());

type Item = {
  readonly metadata: {
    readonly name: string;
    readonly managedFields?: readonly { readonly manager: string }[];
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: unknown;
};
const items = async (kind: string, ...more: readonly string[]): Promise<readonly Item[]> => {
  const text = await fleet.cluster.kubectlOk([
    '-n',
    gateways,
    'get',
    kind,
    '-o',
    'json',
    '--show-managed-fields',
    ...more,
  ]);
  return (JSON.parse(text) as { items: readonly Item[] }).items;
};
const maps = () => items('configmap', '-l', 'inference.networking.k8s.io/bbr-managed=true');
const annotate = (value: string) =>
  fleet.cluster.kubectlOk([
    '-n',
    fleet.namespace,
    'annotate',
    '--overwrite',
    'adapterrollout',
    'shout',
    `adaptlet.io/gateway-rewrite${value}`,
  ]);

it('gateways find in ConfigMaps which names a base model has, by the rights of the chart', async () => {
  for (const name of ['upper', 'reverse']) await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
  const [map] = await waitFor('a ConfigMap of all names', async () => {
    const found = await maps();
    return found[0]?.data?.['adapters']?.includes('"reverse"') === true && found;
  });
  expect(map?.data).toEqual({
    baseModel: 'tiny',
    adapters: ['reverse', `${fleet.namespace}/reverse`, `${fleet.namespace}/upper`, 'upper']
      .toSorted()
      .map((name) => `- "${name}"\n`)
      .join(''),
  });
  expect(map?.metadata.managedFields?.map(({ manager }) => manager)).toEqual(['adaptlet-operator-gateway']);
  // With the next change it is put right, whoever has the field by then.
  const wrong = JSON.stringify({ data: { baseModel: 'wrong' } });
  await fleet.cluster.kubectlOk([
    '-n',
    gateways,
    'patch',
    'configmap',
    map?.metadata.name ?? '',
    '--type=merge',
    '-p',
    wrong,
  ]);
  await fleet.cluster.kubectlOk(['-n', fleet.namespace, 'delete', 'adapter', 'reverse']);
  await waitFor('the name to go', async () => {
    const [{ data } = {}] = await maps();
    return data?.['adapters']?.includes('reverse') === false && data['baseModel'] === 'tiny';
  });
});

it('a rollout that asks for it is split by the gateway as well, once the cluster has the kind for it', async () => {
  await fleet.apply(rolloutYaml('shout', 'upper', '{setWeight: 50}'));
  await waitFor('stable', async () => (await fleet.rollout('shout'))?.phase === 'Healthy');
  await annotate('=true');
  const { log } = fleet.operators[0] ?? { log: [] };
  await waitFor('a word about the kind', () => log.some((line) => line.includes('no InferenceModelRewrite')));
  await fleet.cluster.kubectlOk(['apply', '-f', '-'], crd);
  await fleet.cluster.kubectlOk([
    'wait',
    '--for=condition=Established',
    '--timeout=30s',
    'crd/inferencemodelrewrites.llm-d.ai',
  ]);
  // Any change makes it look again.
  await fleet.apply(await clusterAdapter('digits', 'adapters/digits'));
  const [rewrite] = await waitFor('a rewrite', async () => {
    const found = await items('inferencemodelrewrites.llm-d.ai');
    return found.length > 0 && found;
  });
  const exact = (value: string) => ({ model: { type: 'Exact', value } });
  expect(rewrite?.spec).toEqual({
    poolRef: { group: 'inference.networking.k8s.io', kind: 'InferencePool', name: 'edge-pool' },
    rules: [
      {
        matches: [exact(`${fleet.namespace}/shout`), exact('shout')],
        targets: [{ modelRewrite: `${fleet.namespace}/upper`, weight: 100 }],
      },
    ],
  });
  await annotate('-');
  await waitFor('no rewrite', async () => (await items('inferencemodelrewrites.llm-d.ai')).length === 0);
});
