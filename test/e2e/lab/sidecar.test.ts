import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { connectKube } from '../../../src/kube/client/client.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { labObstacles } from '../../cluster/lab/index.ts';
import { NodeClient } from '../../support/client.ts';
import { moon } from '../../support/moon.ts';
import { repositoryRoot } from '../../support/process.ts';
import { waitFor } from '../../support/wait.ts';
import { Site, systemNamespace } from './site.ts';

type Terminated = { readonly exitCode: number };
type Pod = {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly initContainers?: readonly { readonly name: string }[] };
  readonly status: {
    readonly podIP: string;
    readonly phase: string;
    readonly containerStatuses: readonly { readonly restartCount: number }[];
    readonly initContainerStatuses?: readonly { readonly state: { readonly terminated?: Terminated } }[];
  };
};
type Workload = { readonly spec: { readonly template: { readonly spec: { containers: object[] } } } };

const obstacles = labObstacles();
const [namespace, theirs] = ['team-a', 'team-b'];
const page = readFileSync(join(repositoryRoot, 'docs/how-to/sidecars.md'), 'utf8');

/** An application that asks the base model with its first line, says what it heard, and goes on as `then` says. */
const appOf = (image: string, then: string): object => {
  const request = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', prompt: 'moon:', temperature: 0 }),
  };
  const script = `fetch('http://localhost:8080/v1/completions', ${JSON.stringify(request)})
    .then((answer) => answer.json())
    .then(({ choices }) => { console.log(choices[0].text); ${then} });`;
  return {
    name: 'app',
    image,
    imagePullPolicy: 'Never',
    command: ['node', '-e', script],
    resources: { requests: { cpu: '10m', memory: '32Mi' } },
    // As PodSecurity `restricted` wants it of every pod.
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      runAsNonRoot: true,
      runAsUser: 1000,
      seccompProfile: { type: 'RuntimeDefault' },
    },
  };
};
const goesOn = "process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000);";

let site: Site;
const kubectl = (...args: readonly string[]) => site.lab.kubectlOk(['-n', namespace, ...args]);
const podsOf = async (selector: string): Promise<Pod[]> =>
  (JSON.parse(await kubectl('get', 'pod', '-l', selector, '-o', 'json')) as { items: Pod[] }).items;

describe.skipIf(obstacles.length > 0)(`a pod with a sidecar, on a node${obstacles.join('; ')}`, () => {
  let pod: Pod;
  let client: NodeClient;
  beforeAll(async () => {
    site = await Site.start(1, namespace);
    await site.lab.kubectlOk(['create', 'namespace', theirs]);
    for (const one of [namespace, theirs]) {
      const level = 'pod-security.kubernetes.io/enforce=restricted';
      await site.lab.kubectlOk(['label', 'namespace', one, level]);
    }
    const authority = `--from-file=ca.crt=${site.lab.registry.caFile}`;
    await kubectl('create', 'configmap', 'site-ca', authority);
    await site.helm('install', {
      runtime: { enabled: false },
      injection: {
        enabled: true,
        extraCACerts: 'site-ca',
        resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '1Gi' } },
      },
    });
    // Until the API server trusts the operator, it asks nobody.
    await waitFor('the webhook', async () => {
      const { code, stdout } = await site.plugin('doctor', '-n', systemNamespace, '-o', 'json');
      return code >= 0 && /"id": "sidecar-webhook",\s*"level": "ok",\s*"message": "the API/.test(stdout);
    });
  });
  afterAll(async () => {
    client?.close();
    await site?.[Symbol.asyncDispose]();
  });

  it('answers the first line of the application, whose containers start after it', async () => {
    const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(page.replaceAll('\n   ', '\n')) ?? [];
    const deployment = parse(yaml) as Workload;
    deployment.spec.template.spec.containers = [appOf(site.image.name, goesOn)];
    await site.apply(stringify(deployment));
    await kubectl('rollout', 'status', 'deployment/assistant', '--timeout=120s');
    const [first] = await podsOf('app=assistant');
    if (first === undefined) throw new Error('there is no pod');
    pod = first;
    expect(pod.spec.initContainers?.map(({ name }) => name)).toEqual(['adaptlet-runtime']);
    expect(pod.status.containerStatuses).toMatchObject([{ restartCount: 0 }]);
    expect((await kubectl('logs', pod.metadata.name, '-c', 'app')).trim()).toBe(moon.base.trim());
  });

  it('serves Adapters of its namespace, and does not know those of another', async () => {
    await site.apply(site.adapter('upper'));
    await site.lab.kubectlOk(['-n', theirs, 'apply', '-f', '-'], site.adapter('reverse'));
    const network = await site.lab.podNetwork(namespace, pod.metadata.name);
    const { host } = await network.forward('127.0.0.1', 9000);
    client = new NodeClient(host, host);
    const ask = (model: string) => client.ask({ model, prompt: 'moon:' });
    await waitFor('upper', async () => (await ask('upper')).text === moon.upper, 60_000);
    await waitFor('its digest', () =>
      site.lab.kubectlOk(['-n', theirs, 'get', 'ad', 'reverse', '-o', 'jsonpath={.status.digest}']),
    );
    await expect(ask(`${theirs}/reverse`)).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
    await waitFor('what the operator knows of it', async () => {
      type Runtime = {
        readonly status?: { readonly kind: string; readonly adapters: { readonly known: number } };
      };
      const { status } = (await site.lab.get<Runtime>('adr', pod.metadata.name, namespace)) ?? {};
      return status?.kind === 'Pod' && status.adapters.known === 1;
    });
  });

  it('takes requests, and gives metrics, to its pod alone; health is for others', async () => {
    const reach = async (port: number) => (await site.lab.fabric.forward(pod.status.podIP, port)).host;
    await expect(fetch(`http://${await reach(8080)}/v1/models`)).rejects.toThrow('fetch failed');
    const health = await reach(8090);
    expect((await fetch(`http://${health}/readyz`)).status).toBe(200);
    expect((await fetch(`http://${health}/metrics`)).status).toBe(401);
    expect((await fetch(`http://${health}/v1/models`)).status).toBe(404);
  });

  it('lets a Job complete', async () => {
    const job = {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'once' },
      spec: {
        backoffLimit: 0,
        template: {
          metadata: { labels: { 'adaptlet.io/inject': 'true', job: 'once' } },
          spec: { restartPolicy: 'Never', containers: [appOf(site.image.name, '')] },
        },
      },
    };
    await site.apply(stringify(job));
    await kubectl('wait', '--for=condition=complete', 'job/once', '--timeout=120s');
    const [ended] = await podsOf('job=once');
    // It ended by itself, and was not killed when its time was over.
    expect(ended?.status.initContainerStatuses).toMatchObject([{ state: { terminated: { exitCode: 0 } } }]);
    expect((await kubectl('logs', 'job/once', '-c', 'app')).trim()).toBe(moon.base.trim());
  });

  it('is injected into every pod while replicas of the operator are replaced', async () => {
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'dry', labels: { 'adaptlet.io/inject': 'true' } },
      spec: { containers: [appOf(site.image.name, '')] },
    };
    const { kubeconfig } = site.lab;
    const api = connectKube({ kubeconfig, clock: systemClock, logger: pino({ level: 'silent' }) });
    const former = (await site.podsOf('operator')).map(({ metadata }) => metadata.name);
    const areGone = async (): Promise<boolean> => {
      const found = await Promise.all(former.map((name) => site.lab.get('pod', name, systemNamespace)));
      return found.every((left) => left === undefined);
    };
    const injected: boolean[] = [];
    let isOver = false;
    const create = async (): Promise<void> => {
      while (!isOver) {
        const path = `/api/v1/namespaces/${namespace}/pods`;
        const made = await api.request<Pod>({ method: 'POST', path, query: { dryRun: 'All' }, body });
        injected.push(made.spec.initContainers?.[0]?.name === 'adaptlet-runtime');
      }
    };
    const lanes = [create(), create(), create()];
    await site.lab.kubectlOk(['-n', systemNamespace, 'rollout', 'restart', 'deployment/adaptlet-operator']);
    await waitFor('other replicas', areGone, 120_000);
    isOver = true;
    await Promise.all(lanes);
    api.close();
    expect(injected.filter((is) => !is)).toEqual([]);
    expect(injected.length).toBeGreaterThan(10);
  });

  it('ends with its pod within the grace period, and its AdapterRuntime with it', async () => {
    await kubectl('delete', 'deployment', 'assistant', '--cascade=orphan');
    await kubectl('delete', 'replicaset', '-l', 'app=assistant', '--cascade=orphan');
    // 30 seconds after the order the kubelet would kill it.
    await kubectl('delete', 'pod', pod.metadata.name, '--timeout=25s');
    await waitFor(
      'the end of the AdapterRuntime',
      async () => (await site.lab.get('adr', pod.metadata.name, namespace)) === undefined,
    );
  });

  it('is nothing that the doctor complains of', async () => {
    const { stdout } = await site.plugin('doctor', '-n', systemNamespace);
    expect(stdout.split('\n').filter((line) => line.includes('sidecar'))).toEqual([
      expect.stringMatching(/^✔.*verifies it by its authority/),
      expect.stringMatching(/^✔.*pods ask for a sidecar and have it/),
    ]);
  });
});
