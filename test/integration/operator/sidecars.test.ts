import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { issueAuthority } from '../../../src/operator/identity/certificate.ts';
import { operatorInjectionRules, rightsOf } from '../../../src/operator/rbac.ts';
import { startCluster } from '../../cluster/index.ts';
import { freePort } from '../../cluster/ports.ts';
import { AuditLog } from '../../support/audit.ts';
import { kubectlAdaptlet } from '../../support/cli.ts';
import { clusterAdapter, systemNamespace, TestFleet } from '../../support/fleet.ts';
import { askMoon, moon, rolloutYaml } from '../../support/moon.ts';
import { TestNode, tiny } from '../../support/node.ts';
import { waitFor } from '../../support/wait.ts';
import { chart, helm, rendered, sidecarText } from '../manifests/helm.ts';

type Webhooks = {
  readonly webhooks: readonly { readonly clientConfig: { readonly caBundle?: string } }[];
};
type Pod = {
  readonly metadata: { readonly uid: string };
  readonly spec: {
    readonly initContainers?: readonly { readonly name: string }[];
    readonly volumes: readonly { readonly name: string }[];
  };
};

const user = `system:serviceaccount:${systemNamespace}:adaptlet-operator`;
const stack = new AsyncDisposableStack();
let audit: AuditLog;
let fleet: TestFleet;
let port: number;

beforeAll(async () => {
  audit = stack.use(await AuditLog.of([user]));
  const cluster = stack.use(await startCluster({ controllerManager: true, apiServerFlags: audit.flags }));
  fleet = stack.use(await TestFleet.start({ cluster, replicas: 0, runtimes: 0 }));
  await upgrade();
  await writeSidecar();
  port = await freePort();
});
afterAll(() => stack.disposeAsync());

const upgrade = async (...set: readonly string[]): Promise<void> => {
  const args = ['upgrade', 'adaptlet', chart, '-n', systemNamespace, '--set', 'injection.enabled=true'];
  const { code, stderr } = await helm([...args, ...set], fleet.cluster.kubeconfig);
  if (code !== 0) throw new Error(stderr);
};
const writeSidecar = async (...set: readonly string[]): Promise<void> => {
  const text = await sidecarText('--set', ['injection.enabled=true', ...set].join(','));
  await writeFile(join(fleet.folder, 'sidecar.yaml'), text);
};
const startOperator = () =>
  fleet.startOperator(0, {
    'webhook-listen': `127.0.0.1:${port}`,
    'sidecar-template': join(fleet.folder, 'sidecar.yaml'),
  });
const kubectl = (...args: readonly string[]) => fleet.cluster.kubectlOk(args);
const caBundle = async (): Promise<string> => {
  const text = await kubectl('get', 'mutatingwebhookconfiguration', 'adaptlet-sidecar', '-o', 'json');
  const [webhook] = (JSON.parse(text) as Webhooks).webhooks;
  return Buffer.from(webhook?.clientConfig.caBundle ?? '', 'base64').toString();
};
const authorityIn = async (namespace: string): Promise<string | undefined> =>
  (await fleet.get<{ data: Record<string, string> }>('configmap', 'adaptlet-ca', namespace))?.data['ca.crt'];

const asks = { 'adaptlet.io/inject': 'true' };
const podYaml = (name: string, labels: Record<string, string>, spec: object = {}): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: { nodeName: 'nowhere', containers: [{ name: 'app', image: 'app' }], ...spec },
  });
/** Creates a pod; what kubectl says of it, and the pod if it is there. */
const create = async (name: string, labels: Record<string, string>, spec: object = {}) => {
  const stdin = podYaml(name, labels, spec);
  const args = ['-n', fleet.namespace, 'create', '-f', '-'];
  const { stderr } = await fleet.cluster.kubectlWith({ stdin }, ...args);
  const pod = await fleet.get<Pod>('pod', name);
  return { stderr, pod, sidecar: pod?.spec.initContainers?.map((one) => one.name) };
};
/** How often API servers called the webhook. */
const calls = async (): Promise<number> => {
  const text = await kubectl('get', '--raw', '/metrics');
  const [, count = '0'] =
    /^apiserver_admission_webhook_request_total\{.*name="sidecar\.adaptlet\.io".*\} (\d+)$/m.exec(text) ?? [];
  return Number(count);
};

describe('the webhook of the chart', () => {
  it('is told by what to verify the operator, and an upgrade keeps that', async () => {
    await startOperator();
    await waitFor('the bundle', async () => (await caBundle()) === (await authorityIn(systemNamespace)));
    const bundle = await caBundle();
    expect(bundle).toContain('BEGIN CERTIFICATE');
    await upgrade('--set', 'injection.threads=2');
    expect(await caBundle()).toBe(bundle);
  });

  it('has a pod that asks patched, and the authority is in its namespace', async () => {
    // A Service needs a network: the operator is a process here.
    const clientConfig = { url: `https://127.0.0.1:${port}/inject`, service: null };
    const [patch] = [{ webhooks: [{ name: 'sidecar.adaptlet.io', clientConfig }] }];
    await kubectl('patch', 'mutatingwebhookconfiguration', 'adaptlet-sidecar', '-p', JSON.stringify(patch));
    await waitFor('the API server to call', async () => {
      const { sidecar } = await create('first', asks);
      if (sidecar === undefined) await kubectl('-n', fleet.namespace, 'delete', 'pod', 'first', '--force');
      return sidecar !== undefined;
    });
    const { pod } = await create('app', asks, { initContainers: [{ name: 'prepare', image: 'app' }] });
    expect(pod?.spec.initContainers?.map(({ name }) => name)).toEqual(['adaptlet-runtime', 'prepare']);
    expect(pod?.spec.volumes.map(({ name }) => name)).toContain('adaptlet-token');
    expect(await authorityIn(fleet.namespace)).toBe(await authorityIn(systemNamespace));
  });

  it('is not called for others, nor in namespaces that are left out', async () => {
    const before = await calls();
    expect(before).toBeGreaterThan(0);
    expect((await create('other', {})).sidecar).toBeUndefined();
    expect((await create('no', { 'adaptlet.io/inject': 'false' })).sidecar).toBeUndefined();
    const args = ['-n', systemNamespace, 'create', '-f', '-'];
    await fleet.cluster.kubectlOk(args, podYaml('own', asks));
    expect(await calls()).toBe(before);
  });

  it('has a pod refused that cannot have a sidecar, with the reason', async () => {
    const { pod, stderr } = await create('host', asks, { hostNetwork: true });
    expect(pod).toBeUndefined();
    expect(stderr).toContain(
      'the pod cannot have a sidecar: hostNetwork shares localhost with the whole node',
    );
  });

  it('has a pod refused where the policy of its namespace denies pods as runtimes', async () => {
    const policy = {
      apiVersion: 'adaptlet.io/v1alpha1',
      kind: 'AdapterPolicy',
      metadata: { name: 'default' },
    };
    await fleet.apply(JSON.stringify({ ...policy, spec: { clients: { anonymous: 'Allow' } } }));
    let stderr = '';
    await waitFor('the refusal', async () => {
      const seen = await create('denied', asks);
      stderr = seen.stderr;
      if (seen.pod !== undefined) await kubectl('-n', fleet.namespace, 'delete', 'pod', 'denied', '--force');
      return seen.pod === undefined;
    });
    expect(stderr).toContain(`the policy ${fleet.namespace}/default has spec.runtimes.pods: Deny`);
    expect(stderr).toContain('remove the sidecar, or the label adaptlet.io/inject, from the pod');
    expect((await create('plain', {})).pod).toBeDefined();
    await kubectl('-n', fleet.namespace, 'delete', 'apol', 'default');
    await waitFor('the pod', async () => (await create('allowed', asks)).sidecar !== undefined);
  });

  it('takes a changed sidecar without a restart', async () => {
    await writeSidecar('image.tag=next');
    const { pod } = await create('next', asks);
    expect(pod?.spec.initContainers).toMatchObject([{ image: 'adaptlet:next' }]);
  });
});

describe('a runtime of a pod', () => {
  let node: TestNode;
  let theirs: string;
  beforeAll(async () => {
    theirs = await fleet.cluster.createNamespace('theirs');
    const upper = await clusterAdapter('upper', 'adapters/upper');
    const rollout = rolloutYaml('shout', 'upper', '{setWeight: 100}');
    await fleet.apply(upper + rollout);
    await fleet.cluster.kubectlOk(['-n', theirs, 'apply', '-f', '-'], upper + rollout);
    const token = join(fleet.folder, 'app.token');
    const bound = { namespace: fleet.namespace, serviceAccount: 'default', boundPod: 'app' };
    await writeFile(token, await fleet.cluster.token({ ...bound, audience: 'adaptlet' }));
    const folder = join(fleet.folder, 'app');
    node = await TestNode.start({
      folder,
      settings: {
        manifests: '',
        operator: await fleet.door.addressOf('app'),
        'operator-ca': await fleet.authority(),
        'operator-token': token,
        'runtime-kind': 'pod',
        'runtime-namespace': fleet.namespace,
        'runtime-name': 'app',
        namespace: fleet.namespace,
        'import-roots': tiny.root,
        'health-listen': '127.0.0.1:0',
      },
    });
    stack.defer(() => node.dispose());
  });

  it('serves what is of its namespace, and knows nothing of another', async () => {
    await waitFor('the rollout', async () => (await askMoon(node, 'shout')).text === moon.upper, 60_000);
    await expect(askMoon(node, `${theirs}/shout`)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    await expect(askMoon(node, `${theirs}/upper`)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    const { adapters } = await node.client.status();
    expect(adapters.map(({ key }) => key)).toEqual([`${fleet.namespace}/upper`]);
  });

  it('counts in its namespace alone, and its AdapterRuntime goes with its pod', async () => {
    const desired = async (namespace: string) => {
      type Rollout = { readonly status?: { readonly runtimes?: { readonly desired: number } } };
      return (await fleet.get<Rollout>('aro', 'shout', namespace))?.status?.runtimes?.desired;
    };
    await waitFor('one runtime', async () => (await desired(fleet.namespace)) === 1);
    expect(await desired(theirs)).toBe(0);
    const { metadata } = (await fleet.get<Pod>('pod', 'app')) ?? {};
    type Owned = { readonly metadata: { readonly ownerReferences: readonly object[] } };
    expect((await fleet.get<Owned>('adr', 'app'))?.metadata.ownerReferences).toMatchObject([
      { kind: 'Pod', uid: metadata?.uid },
    ]);
    await node.end();
    await kubectl('-n', fleet.namespace, 'delete', 'pod', 'app', '--force');
    await waitFor('the end of the AdapterRuntime', async () => (await fleet.get('adr', 'app')) === undefined);
    await waitFor('no runtime', async () => (await desired(fleet.namespace)) === 0);
  });
});

describe('while no operator answers', () => {
  const without = 'the pod asks for an Adaptlet sidecar and has none, since no operator answered';

  it('since it hangs, a pod that asks is created all the same', async () => {
    fleet.operators[0]?.signal('SIGSTOP');
    const { sidecar, pod } = await create('hung', asks);
    expect({ sidecar, isThere: pod !== undefined }).toEqual({ sidecar: undefined, isThere: true });
  });

  it('a pod that asks is created without a sidecar, and whoever creates it is warned', async () => {
    await fleet.operators[0]?.end('SIGKILL');
    const { sidecar, pod, stderr } = await create('alone', asks);
    expect({ sidecar, isThere: pod !== undefined }).toEqual({ sidecar: undefined, isThere: true });
    expect(stderr).toContain(`Warning: Validation failed for ValidatingAdmissionPolicy`);
    expect(stderr).toContain(without);
    expect(await create('other-alone', {})).toMatchObject({ stderr: '' });
  });

  it('the doctor names the pods that have to be created again', async () => {
    const { stdout } = await kubectlAdaptlet(
      'doctor',
      '-o',
      'json',
      '--kubeconfig',
      fleet.cluster.kubeconfig,
    );
    const { findings } = JSON.parse(stdout) as { findings: { id: string; level: string; message: string }[] };
    const found = (id: string) => findings.find((one) => one.id === id);
    expect(found('sidecar-webhook')?.level).toBe('ok');
    expect(found('sidecars')).toMatchObject({
      level: 'problem',
      message: expect.stringContaining(`${fleet.namespace}/alone, ${fleet.namespace}/hung`),
    });
  });

  it('it is refused where injection.required says so, and nobody else is', async () => {
    const policies = (await rendered('--set', 'injection.enabled=true,injection.required=true')).filter(
      ({ kind }) => kind.startsWith('ValidatingAdmissionPolicy'),
    );
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: policies });
    await fleet.cluster.kubectlOk(['replace', '-f', '-'], list);
    await waitFor('a refusal', async () => {
      const { pod, stderr } = await create('required', asks);
      if (pod !== undefined) await kubectl('-n', fleet.namespace, 'delete', 'pod', 'required', '--force');
      return pod === undefined && stderr.includes(without);
    });
    expect((await create('unasked', {})).pod).toBeDefined();
  });
});

describe('a new certificate authority', () => {
  it('is known to the API server and in namespaces with sidecars, and pods get theirs again', async () => {
    const secret = await fleet.get<{ data: Record<string, string> }>(
      'secret',
      'adaptlet-ca',
      systemNamespace,
    );
    const [from, until] = [Date.now() - 3_600_000, Date.now() + 86_400_000 * 300];
    const next = await issueAuthority('adaptlet next', { from, until });
    const former = Buffer.from(secret?.data['current.crt'] ?? '', 'base64').toString();
    const stringData = {
      'current.crt': next.certificate,
      'current.key': next.key,
      'former.crt': former,
      'former.until': new Date(until).toISOString(),
    };
    const args = ['-n', systemNamespace, 'patch', 'secret', 'adaptlet-ca', '--type=merge', '-p'];
    await kubectl(...args, JSON.stringify({ stringData }));
    await startOperator();
    await waitFor('the new one', async () =>
      [await caBundle(), await authorityIn(fleet.namespace)].every((one) => one?.includes(next.certificate)),
    );
    await waitFor('a sidecar', async () => (await create('after', asks)).sidecar !== undefined);
  });
});

describe('the operator with sidecars', () => {
  it('needed every right that it has for them, and was never refused anything', async () => {
    const requests = await audit.requests();
    expect(requests.filter(({ code }) => code === 403)).toEqual([]);
    const role = 'of ClusterRole "adaptlet-operator-injection"';
    const unused = rightsOf(operatorInjectionRules).filter(
      (right) =>
        !requests.some(
          (request) =>
            request.verb === right.verb &&
            request.group === right.group &&
            request.resource === right.resource &&
            (right.name === undefined || request.name === right.name) &&
            request.allowedBy.includes(role),
        ),
    );
    expect(unused).toEqual([]);
  });
});
