import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clusterAdapter, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import type { TestNode } from '../../support/node.ts';
import { type SniProxy, startSniProxy } from '../../support/sni-proxy.ts';
import { waitFor } from '../../support/wait.ts';
import { chart, helm } from '../manifests/helm.ts';

let fleet: TestFleet;
/** Stands for a gateway outside of the pod network: nothing else leads the runtime to the operator. */
let proxy: SniProxy;
let address: string;
beforeAll(async () => {
  fleet = await TestFleet.start({ replicas: 0, runtimes: 0 });
  proxy = await startSniProxy();
  address = `localhost:${proxy.port}`;
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await fleet?.[Symbol.asyncDispose]();
});

type Workload = {
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly env: readonly { readonly name: string; readonly value?: string }[];
        }[];
      };
    };
  };
};
/** What a workload of the release gives its process. */
const variableOf = async (workload: string, name: string): Promise<string> => {
  const text = await fleet.cluster.kubectlOk(['-n', systemNamespace, 'get', workload, '-o', 'json']);
  const { containers } = (JSON.parse(text) as Workload).spec.template.spec;
  const found = containers.flatMap(({ env }) => env).find((one) => one.name === name)?.value;
  if (found === undefined) throw new Error(`${workload} has no ${name}`);
  return found;
};

/** Both replicas anew, with the names that the release gives their certificates. */
const startOperators = async (): Promise<void> => {
  await Promise.all(fleet.operators.map((operator) => operator.end()));
  const names = await variableOf('deployment/adaptlet-operator', 'ADAPTLET_SERVICE_NAMES');
  await Promise.all([0, 1].map((index) => fleet.startOperator(index, { 'service-names': names })));
  proxy.route(
    'localhost',
    fleet.operators.map(({ grpc }) => grpc),
  );
};

type Runtime = {
  readonly metadata: { readonly ownerReferences?: readonly object[] };
  readonly status?: {
    readonly node?: string;
    readonly pod?: string;
    readonly conditions: readonly { readonly type: string; readonly status: string }[];
  };
};
const runtime = () => fleet.get<Runtime>('adr', 'node-0', systemNamespace);
const node = (): TestNode => fleet.nodes[0] as TestNode;
const operatorOf = async () => (await node().client.status()).operator;

describe('a runtime that reaches its operator by a proxy that passes TLS on by its server name', () => {
  it('refuses the operator while the certificate does not have the name of the address, and is not known', async () => {
    await startOperators();
    await fleet.startNode(0, { operator: address });
    const says = await waitFor('it to say why', async () => {
      const { state, lastError = '' } = (await operatorOf()) ?? {};
      return state !== 'connected' && lastError !== '' && lastError;
    });
    expect(says).toMatch(/Host: localhost\. is not in the cert's altnames/);
    expect(new Set(proxy.names)).toEqual(new Set(['localhost']));
    expect(await runtime()).toBeUndefined();
  });

  it('connects by operator.external.address with the token of its pod, and is known as the runtime of its node', async () => {
    const values = ['--reuse-values', '--set', `operator.external.address=${address}`];
    const args = ['upgrade', 'adaptlet', chart, '-n', systemNamespace, ...values];
    expect(await helm(args, fleet.cluster.kubeconfig)).toMatchObject({ code: 0 });
    expect(await variableOf('daemonset/adaptlet-runtime', 'ADAPTLET_OPERATOR')).toBe(address);
    await startOperators();
    await waitFor('the connection', async () => (await operatorOf())?.state === 'connected', 60_000);
    const known = await waitFor('the operator to say so', async () => {
      const found = await runtime();
      const conditions = found?.status?.conditions ?? [];
      return conditions.some(({ type, status }) => type === 'Connected' && status === 'True') && found;
    });
    expect(known.status).toMatchObject({ node: 'node-0', pod: 'adaptlet-runtime-0' });
    expect(known.metadata.ownerReferences).toMatchObject([{ kind: 'Node', name: 'node-0' }]);
  });

  it('gets its plan, and that of a rollout which goes on', async () => {
    for (const name of ['upper', 'reverse'] as const)
      await fleet.apply(await clusterAdapter(name, `adapters/${name}`));
    for (const name of ['upper', 'reverse'] as const) {
      await fleet.apply(rolloutYaml('shout', name, '{setWeight: 100}'));
      await waitFor(name, async () => (await askMoon(node(), 'shout')).text === moon[name], 60_000);
    }
  });

  it('comes back by the proxy when the replica that it is connected to ends', async () => {
    await Promise.all(fleet.operators.map((operator) => operator.end('SIGKILL')));
    await waitFor('the end of the stream', async () => (await operatorOf())?.state !== 'connected');
    await fleet.restartOperator(1);
    // The first of the two answers nobody.
    proxy.route(
      'localhost',
      fleet.operators.map(({ grpc }) => grpc),
    );
    await waitFor('the connection', async () => (await operatorOf())?.state === 'connected', 60_000);
    expect(new Set(proxy.names)).toEqual(new Set(['localhost']));
  });
});
