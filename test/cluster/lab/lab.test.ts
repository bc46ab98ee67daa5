import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';
import { cacheFolder } from '../../tools/cache.ts';
import { ControlGroup } from './cgroups.ts';
import { ownImages } from './images.ts';
import { Lab, labObstacles, nodeClock, workloadImage } from './index.ts';

const obstacles = labObstacles();
/** The kubelet's own waits are of 10 s, and the machine may be busy. */
const patience = 60_000;
const auth = { kind: 'bearer', user: 'edge', password: 'moon' } as const;

let lab: Lab;
let namespace: string;

const apply = (...items: readonly unknown[]): Promise<string> =>
  lab.kubectlOk(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));

const container = { name: 'main', image: workloadImage, imagePullPolicy: 'IfNotPresent' };

const pod = (name: string, spec: Readonly<Record<string, unknown>>, more: object = {}): unknown => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace, name },
  spec: { containers: [{ ...container, ...more }], terminationGracePeriodSeconds: 1, ...spec },
});

const template = (app: string) => ({
  metadata: { labels: { app } },
  spec: { containers: [container], terminationGracePeriodSeconds: 1 },
});

type Pod = {
  readonly metadata: { readonly name: string };
  readonly status: {
    readonly podIP?: string;
    readonly containerStatuses?: readonly {
      readonly restartCount: number;
      readonly state: { terminated?: { reason: string }; waiting?: { reason: string; message?: string } };
    }[];
  };
};

/** The ready pod of a workload on a node. */
const podOn = async (app: string, index: number): Promise<Pod> => {
  const selectors = ['-l', `app=${app}`, `--field-selector=spec.nodeName=${lab.node(index).name}`];
  const { items } = JSON.parse(
    await lab.kubectlOk(['-n', namespace, 'get', 'pod', ...selectors, '-o', 'json']),
  ) as { items: Pod[] };
  expect(items).toHaveLength(1);
  return items[0] as Pod;
};

const rolledOut = (what: string): Promise<string> =>
  lab.kubectlOk(['-n', namespace, 'rollout', 'status', what, '--timeout=60s']);

const firstContainer = async (name: string) =>
  (await lab.get<Pod>('pod', name, namespace))?.status.containerStatuses?.[0];

const text = async (host: string): Promise<string> => (await fetch(`http://${host}/`)).text();

const rootNetwork = async (): Promise<string> => (await runProgram('ip', ['-o', 'link'])).stdout;
let before: { readonly network: string; readonly left: readonly string[] };

/** What test process `pid` has on this machine. */
const left = (pid: number): string[] => {
  const isOf = (name: string): boolean => name.startsWith(`adaptlet-cluster-${pid}-`);
  return [...readdirSync('/dev/shm'), ...readdirSync(cacheFolder('lab')), ...ControlGroup.roots()].filter(
    isOf,
  );
};

/** Starts a lab beside that of the tests, writes the name of its node and waits to be killed. */
const doomed = `
  import { Lab } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))};
  const lab = await Lab.start({ nodes: 1 });
  console.log(await lab.node(1).runOk(['hostname']));
  setInterval(() => undefined, 1000);
`;

describe.skipIf(obstacles.length > 0)('a lab with two nodes', () => {
  beforeAll(async () => {
    before = { network: await rootNetwork(), left: left(process.pid) };
    lab = await Lab.start({ nodes: 2, registry: { auth } });
    namespace = await lab.createNamespace();
    const selector = { matchLabels: { app: 'agent' } };
    await apply(
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { namespace, name: 'web' },
        spec: { replicas: 3, selector: { matchLabels: { app: 'web' } }, template: template('web') },
      },
      {
        apiVersion: 'apps/v1',
        kind: 'DaemonSet',
        metadata: { namespace, name: 'agent' },
        spec: { selector, template: template('agent') },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace, name: 'agent' },
        spec: {
          clusterIP: '10.96.7.7',
          internalTrafficPolicy: 'Local',
          selector: selector.matchLabels,
          ports: [{ port: 80, targetPort: 8080 }],
        },
      },
    );
  });
  afterAll(() => lab?.close());

  it('runs the pods of a Deployment and of a DaemonSet', async () => {
    await rolledOut('deployment/web');
    await rolledOut('daemonset/agent');
    const logs = await lab.kubectlOk(['-n', namespace, 'logs', 'daemonset/agent', '--all-pods']);
    expect(logs.match(/serving as agent-/g)).toHaveLength(2);
  });

  it('leads a pod address and a local Service to the test process, as each node sees them', async () => {
    for (const index of [1, 2]) {
      const { metadata, status } = await podOn('agent', index);
      const direct = await lab.fabric.forward(status.podIP ?? '', 8080);
      expect(await text(direct.host)).toContain(`${metadata.name} 10.250.0.1:`);
      const service = await lab.node(index).network.forward('10.96.7.7', 80);
      await waitFor('kube-proxy to know the pod', async () =>
        (await text(service.host)).startsWith(`${metadata.name} `),
      );
    }
  });

  it('resolves names in pods, and a pod reaches the Service through the pod of its own node', async () => {
    const { metadata } = await podOn('agent', 1);
    const get = ['-n', namespace, 'exec', metadata.name, '--', '/workload', 'get'];
    expect(await lab.kubectlOk([...get, 'http://agent'])).toContain(metadata.name);
    expect(await lab.kubectlOk([...get, `http://agent.${namespace}.svc.cluster.local`])).toContain(
      metadata.name,
    );
    const { stdout } = await (await lab.podNetwork(namespace, metadata.name)).run(['ip', '-4', 'addr']);
    expect(stdout).toContain((await podOn('agent', 1)).status.podIP);
  });

  it('pulls from the registry with a secret, and not without', async () => {
    const [, archive = ''] = await ownImages();
    await lab.registry.pushImage(archive, workloadImage, 'team/web:v1');
    const image = `${lab.registry.host}/team/web:v1`;
    const account = [`--docker-username=${auth.user}`, `--docker-password=${auth.password}`];
    const secret = ['create', 'secret', 'docker-registry', 'pull', `--docker-server=${lab.registry.host}`];
    await lab.kubectlOk(['-n', namespace, ...secret, ...account]);
    const pulled = { image, imagePullPolicy: 'Always' };
    await apply(pod('allowed', { imagePullSecrets: [{ name: 'pull' }] }, pulled), pod('refused', {}, pulled));
    await lab.kubectlOk(['-n', namespace, 'wait', 'pod/allowed', '--for=condition=Ready', '--timeout=60s']);
    await waitFor('the refusal', async () =>
      (await firstContainer('refused'))?.state.waiting?.message?.includes('401 Unauthorized'),
    );
    await lab.kubectlOk(['-n', namespace, 'delete', 'pod', 'allowed', 'refused', '--wait=false']);
  });

  it('takes an image into all nodes while it runs', async () => {
    const [archive = ''] = await ownImages();
    for (const node of lab.nodes)
      await node.runOk(['ctr', '-n', 'k8s.io', 'images', 'rm', 'localhost/pause:lab']);
    await lab.importImage(archive);
    for (const node of lab.nodes) {
      expect(await node.runOk(['ctr', '-n', 'k8s.io', 'images', 'ls', '-q'])).toContain(
        'localhost/pause:lab',
      );
    }
  });

  it('kills a container that takes more memory than its limit', async () => {
    const resources = { limits: { memory: '32Mi' } };
    await apply(pod('greedy', { restartPolicy: 'Never' }, { args: ['eat', '100'], resources }));
    const terminated = await waitFor('the container to end', async () => {
      return (await firstContainer('greedy'))?.state.terminated;
    });
    expect(terminated.reason).toBe('OOMKilled');
  });

  it('has a clock on each node that can be wrong, for pods that want it', async () => {
    const { env, volumeMounts, volumes } = nodeClock;
    // A program of the node that uses glibc.
    const system = ['/usr', '/lib', '/lib64'].map((path, i) => ({ name: `system-${i}`, path }));
    const mounts = system.map(({ name, path }) => ({ name, mountPath: path, readOnly: true }));
    const hostPaths = system.map(({ name, path }) => ({ name, hostPath: { path } }));
    await apply(
      pod(
        'clock',
        { nodeName: lab.node(1).name, volumes: [...volumes, ...hostPaths] },
        { volumeMounts: [...volumeMounts, ...mounts], env },
      ),
    );
    await lab.kubectlOk(['-n', namespace, 'wait', 'pod/clock', '--for=condition=Ready', '--timeout=60s']);
    const hoursAhead = async (): Promise<number> => {
      const now = await lab.kubectlOk(['-n', namespace, 'exec', 'clock', '--', '/usr/bin/date', '+%s']);
      return Math.round((Number(now) - Date.now() / 1000) / 3600);
    };
    expect(Math.abs(await hoursAhead())).toBe(0);
    await lab.node(1).shiftClock(3600);
    expect(await hoursAhead()).toBe(1);
    await lab.node(1).shiftClock(-3600);
    expect(await hoursAhead()).toBe(-1);
  });

  it('keeps its pods while the API server restarts and a kubelet is killed', async () => {
    const { metadata } = await podOn('agent', 2);
    const killed = await lab.node(2).kubelet.pid();
    await lab.restartApiServer('SIGKILL');
    await lab.node(2).kubelet.kill();
    await waitFor('another kubelet', async () => (await lab.node(2).kubelet.pid()) !== killed);
    await lab.node(2).kubelet.stop();
    await lab.node(2).kubelet.start();
    const exec = ['-n', namespace, 'exec', metadata.name, '--', '/workload', 'get', 'http://127.0.0.1:8080'];
    await waitFor('the kubelet to serve', async () => (await lab.kubectl(...exec)).code === 0, patience);
    expect((await firstContainer(metadata.name))?.restartCount).toBe(0);
  });

  it('loses a node whose cable is cut, whose pods go on, and finds it again', async () => {
    const node = lab.node(2);
    const service = await node.network.forward('10.96.7.7', 80);
    await node.link('down');
    await waitFor('the node to be missed', async () => (await lab.nodeReady(2)) === 'Unknown', patience);
    expect(await text(service.host)).toContain('agent-');
    await node.link('up');
    await waitFor('the node to be back', async () => (await lab.nodeReady(2)) === 'True', patience);
  });

  it('loses a node whose power is cut, and finds it again with its disk', async () => {
    const node = lab.node(2);
    const { metadata } = await podOn('agent', 2);
    await node.runOk(['sh', '-c', 'echo kept > /var/lib/note']);
    const bootId = await node.runOk(['cat', '/proc/sys/kernel/random/boot_id']);
    await node.kill();
    await waitFor('the node to be missed', async () => (await lab.nodeReady(2)) === 'Unknown', patience);
    await node.boot();
    await waitFor('the node to be back', async () => (await lab.nodeReady(2)) === 'True', patience);
    await waitFor(
      'its pod to start again',
      async () => {
        const { status } = await podOn('agent', 2);
        return status.containerStatuses?.[0]?.restartCount === 1;
      },
      patience,
    );
    await rolledOut('daemonset/agent');
    expect((await podOn('agent', 2)).metadata.name).toBe(metadata.name);
    expect(await node.runOk(['cat', '/var/lib/note'])).toBe('kept\n');
    expect(await node.runOk(['cat', '/proc/sys/kernel/random/boot_id'])).not.toBe(bootId);
  });

  it('ends with its test process, beside other labs; the next start removes what is left', async () => {
    const args = ['--input-type=module', '-e', doomed];
    const parent = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await new Promise((resolve) =>
      createInterface({ input: parent.stdout }).once('line', resolve),
    );
    expect(line).toBe('node-1');
    const { pid = 0 } = parent;
    const [group = ''] = ControlGroup.roots().filter((name) => left(pid).includes(name));
    expect(ControlGroup.at(group).processes.length).toBeGreaterThan(5);
    parent.kill('SIGKILL');
    await waitFor('its processes to end', () => ControlGroup.at(group).processes.length === 0);
    await waitFor('the test process to end', () => !existsSync(`/proc/${pid}`));
    expect(left(pid).length).toBeGreaterThan(0);
    await using other = await Lab.start({ nodes: 0 });
    expect(await other.kubectlOk(['get', 'nodes', '-o', 'name'])).toBe('');
    expect(left(pid)).toEqual([]);
    expect(await lab.kubectlOk(['get', 'nodes', '-o', 'name'])).toBe('node/node-1\nnode/node-2\n');
  });

  it('leaves nothing once it is closed, and never changes the network of the machine', async () => {
    expect(left(process.pid).length).toBeGreaterThan(before.left.length);
    expect(await rootNetwork()).toBe(before.network);
    await lab.close();
    expect(left(process.pid)).toEqual(before.left);
    expect(await rootNetwork()).toBe(before.network);
  });
});

it('says what a machine lacks that can run no nodes', async () => {
  if (obstacles.length > 0) await expect(Lab.start({ nodes: 1 })).rejects.toThrow(obstacles[0]);
  else await expect(Lab.start({ nodes: 10 })).rejects.toThrow(/0 to 9 nodes, not 10/);
});
