import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ownArchitecture } from '../../../image/architecture.ts';
import { type BuiltImage, buildImage } from '../../../image/build.ts';
import type { RolloutStatus } from '../../../src/api/rollout-status.ts';
import type { RuntimeObjectStatus } from '../../../src/api/runtime.ts';
import { Lab, type LabNode } from '../../cluster/lab/index.ts';
import { kubectlAdaptlet } from '../../support/cli.ts';
import { tiny } from '../../support/node.ts';
import { repositoryRoot } from '../../support/process.ts';
import type { ProgramResult } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';

export const systemNamespace = 'adaptlet-system';
/** Of the adapters of the tiny model, the ones that the site has in its registry. */
export const adapterNames = ['upper', 'reverse', 'digits', 'hello'] as const;
export type AdapterName = (typeof adapterNames)[number];

type Values = Readonly<Record<string, unknown>>;
/** Milliseconds: Kubernetes waits 10 s before it misses a node, kubelets do so here and there; the machine may be busy. */
export const patience = 120_000;

/** A pod as these tests read it. */
export type Pod = {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly spec: { readonly nodeName?: string; readonly containers: readonly { readonly image: string }[] };
};

const ctr = ['ctr', '-n', 'k8s.io'];

/** Of a container that runs on a node, by its name in its pod: its id and the pid of its first process there. */
const runningContainer = async (node: LabNode, name: string): Promise<{ id: string; pid: string }> => {
  const filter = `labels."io.kubernetes.container.name"==${name}`;
  const ids = (await node.runOk([...ctr, 'containers', 'ls', '-q', filter])).split('\n').filter(Boolean);
  const tasks = (await node.runOk([...ctr, 'tasks', 'ls'])).split('\n').map((line) => line.split(/\s+/));
  const task = tasks.find(([id = '', , status]) => ids.includes(id) && status === 'RUNNING');
  const [id, pid] = task ?? [];
  if (id === undefined || pid === undefined) throw new Error(`no container ${name} runs on ${node.name}`);
  return { id, pid };
};

/** A site as its people have it: nodes, a registry with the base model and adapters, and the chart, installed by helm. */
export class Site implements AsyncDisposable {
  readonly lab: Lab;
  readonly image: BuiltImage;
  /** `sha256:…` of the base model in the registry. */
  readonly modelDigest: string;
  /** Where Adapters and rollouts are. */
  readonly namespace: string;
  readonly #folder: string;

  private constructor(
    lab: Lab,
    parts: { image: BuiltImage; modelDigest: string; namespace: string; folder: string },
  ) {
    this.lab = lab;
    this.image = parts.image;
    this.modelDigest = parts.modelDigest;
    this.namespace = parts.namespace;
    this.#folder = parts.folder;
  }

  /** Nodes that have the image, and a registry that has model and adapters. Nothing is installed yet. */
  static async start(nodes: number, namespace: string): Promise<Site> {
    const architecture = ownArchitecture();
    if (architecture === undefined) throw new Error(`no image is made for ${process.arch}`);
    const folder = await mkdtemp(join(tmpdir(), 'adaptlet-site-'));
    const image = await buildImage({ arch: architecture.name, folder });
    const lab = await Lab.start({ nodes, images: [image.archive], registry: {} });
    try {
      const authority = lab.registry.caFile ?? '';
      const push = [join(repositoryRoot, 'bin/adaptlet'), 'model', 'push', tiny.model];
      const pushed = await lab.fabric.runOk([...push, `${lab.registry.host}/models/tiny:v1`, '-o', 'json'], {
        env: { NODE_EXTRA_CA_CERTS: authority },
      });
      const { digest } = JSON.parse(pushed) as { readonly digest: string };
      for (const name of adapterNames) {
        const files = ['adapter_config.json', 'adapter_model.safetensors'];
        await lab.registry.push(`adapters/${name}:v1`, join(tiny.adapters, name), files);
      }
      for (const name of [systemNamespace, namespace]) {
        if (name !== 'default') await lab.kubectlOk(['create', 'namespace', name]);
      }
      const file = `--from-file=ca.crt=${authority}`;
      await lab.kubectlOk(['-n', systemNamespace, 'create', 'configmap', 'site-ca', file]);
      return new Site(lab, { image, modelDigest: digest, namespace, folder });
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** What the chart has to know of this site: the image, small pods, the model and the authority of its registry. */
  get values(): Values {
    const { image, lab, modelDigest: digest } = this;
    return {
      image: { pullPolicy: 'Never', repository: image.name.replace(/:[^:]*$/, '') },
      extraCACerts: 'site-ca',
      operator: {
        egress: { allow: [lab.registry.host] },
        resources: { requests: { cpu: '50m', memory: '64Mi' } },
      },
      runtime: {
        model: { name: 'tiny', source: { oci: { image: `${lab.registry.host}/models/tiny`, digest } } },
        anonymous: 'allow',
        // Three nodes share the cores of this machine.
        threads: 1,
        resources: { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '1Gi' } },
      },
    };
  }

  /** `helm install` or `helm upgrade` with {@link values} and others in place of them. */
  async helm(
    verb: 'install' | 'upgrade',
    more: Values = {},
    { release = 'adaptlet', chart = join(repositoryRoot, 'charts/adaptlet'), values = this.values } = {},
  ): Promise<void> {
    const [own, given] = ['site', 'more'].map((name) => join(this.#folder, `${name}.yaml`)) as [
      string,
      string,
    ];
    await writeFile(own, stringify(values));
    await writeFile(given, stringify(more));
    const args = [
      verb,
      release,
      chart,
      '-n',
      systemNamespace,
      '-f',
      own,
      '-f',
      given,
      '--wait',
      '--timeout=3m',
    ];
    const { code, stderr } = await this.lab.helm(...args);
    if (code !== 0) throw new Error(`helm ${verb}: ${stderr}\n${await this.pods()}`);
  }

  /** What kubectl says of all pods of the install: for messages of failures. */
  async pods(): Promise<string> {
    const pods = ['-n', systemNamespace, 'get', 'pods', '-o', 'wide'];
    const events = ['-n', systemNamespace, 'get', 'events', '--field-selector=type=Warning'];
    return `${await this.lab.kubectlOk(pods)}\n${await this.lab.kubectlOk(events)}`;
  }

  apply(yaml: string): Promise<string> {
    return this.lab.kubectlOk(['-n', this.namespace, 'apply', '-f', '-'], yaml);
  }

  /** Manifest of an Adapter of the registry, by its tag. */
  adapter(name: AdapterName): string {
    const source = `{oci: {image: ${this.lab.registry.host}/adapters/${name}:v1}}`;
    return `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec: {baseModel: tiny, source: ${source}}\n---\n`;
  }

  /** Digest that an Adapter has been resolved to. */
  async digestOf(name: string): Promise<string | undefined> {
    type Adapter = { readonly status?: { readonly digest?: string } };
    return (await this.lab.get<Adapter>('ad', name, this.namespace))?.status?.digest;
  }

  /** Status of a rollout as it is now specified; undefined until the operator has seen that. */
  async rollout(name: string, namespace = this.namespace): Promise<RolloutStatus | undefined> {
    type Rollout = { readonly metadata: { readonly generation: number }; readonly status?: RolloutStatus };
    const rollout = await this.lab.get<Rollout>('aro', name, namespace);
    const isCurrent = rollout?.status?.observedGeneration === rollout?.metadata.generation;
    return isCurrent ? rollout?.status : undefined;
  }

  /** Points the rollout `shout` to an adapter; by default straight, without steps. */
  point(adapter: AdapterName, steps = '{setWeight: 100}'): Promise<string> {
    return this.apply(
      `apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRollout\nmetadata: {name: shout}\nspec: {adapter: ${adapter}, strategy: {canary: {steps: [${steps}]}}}\n`,
    );
  }

  /** Points it straight to an adapter, and waits until that is decided: the whole control plane works. */
  async decide(adapter: AdapterName): Promise<void> {
    await this.point(adapter);
    await this.healthy('shout', adapter);
  }

  /** Waits until a rollout has this adapter as its stable, and nothing under way. */
  healthy(name: string, adapter: AdapterName): Promise<RolloutStatus> {
    return waitFor(
      `${adapter} to be stable in ${name}`,
      async () => {
        const status = await this.rollout(name);
        return status?.phase === 'Healthy' && status.stable?.adapter === adapter && status;
      },
      patience,
    );
  }

  /** kubectl-adaptlet as cluster-admin. */
  plugin(...args: readonly string[]): Promise<ProgramResult> {
    return kubectlAdaptlet(...args, '--kubeconfig', this.lab.kubeconfig);
  }

  /** Pods of a component that are not on their way out. */
  async podsOf(component: 'operator' | 'runtime'): Promise<Pod[]> {
    const selector = `app.kubernetes.io/component=${component}`;
    const list = await this.lab.kubectlOk([
      '-n',
      systemNamespace,
      'get',
      'pod',
      '-l',
      selector,
      '-o',
      'json',
    ]);
    const { items } = JSON.parse(list) as { items: (Pod & { metadata: { deletionTimestamp?: string } })[] };
    return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  async runtimePod(index: number): Promise<Pod> {
    const { name } = this.lab.node(index);
    const found = (await this.podsOf('runtime')).find(({ spec }) => spec.nodeName === name);
    if (found === undefined) throw new Error(`no runtime on ${name}`);
    return found;
  }

  /** Address of a port of the Service of the runtimes, as this node sees it. Another one after the node boots. */
  async service(node: LabNode, port: 'grpc' | 'http', name = 'adaptlet-runtime'): Promise<string> {
    const service = await this.lab.kubectlOk([
      '-n',
      systemNamespace,
      'get',
      'service',
      name,
      '-o',
      'jsonpath={.spec.clusterIP}',
    ]);
    return (await node.network.forward(service, port === 'grpc' ? 9000 : 8080)).host;
  }

  /** Status of a condition of the AdapterRuntime of a node. */
  async condition(
    index: number,
    type: string,
    name = this.lab.node(index).name,
  ): Promise<string | undefined> {
    const runtime = await this.lab.get<{ status?: RuntimeObjectStatus }>('adr', name, systemNamespace);
    return runtime?.status?.conditions.find((condition) => condition.type === type)?.status;
  }

  async rolledOut(workload: string): Promise<void> {
    await this.lab.kubectlOk(['-n', systemNamespace, 'rollout', 'status', workload, '--timeout=180s']);
  }

  /** A command in the container of a node's runtime, by containerd: as it is done without the cluster. */
  async inRuntime(node: LabNode, ...command: readonly string[]): Promise<ProgramResult> {
    const { id } = await runningContainer(node, 'runtime');
    const exec = ['tasks', 'exec', '--exec-id', `test-${performance.now().toFixed(0)}`, id];
    return node.run([...ctr, ...exec, ...command]);
  }

  /** SIGKILL for the first process of a pod's container. */
  async killContainer(container: string, pod: string): Promise<void> {
    const found = await this.lab.get<Pod>('pod', pod, systemNamespace);
    const node = this.lab.nodes.find(({ name }) => name === found?.spec.nodeName);
    if (node === undefined) throw new Error(`pod ${pod} is on no node`);
    const { id } = await runningContainer(node, container);
    await node.runOk([...ctr, 'tasks', 'kill', '--signal', 'SIGKILL', id]);
  }

  /** Pid of the engine of a node's runtime, as the node sees it. */
  async enginePid(node: LabNode): Promise<string> {
    const { pid } = await runningContainer(node, 'runtime');
    return (await node.runOk(['cat', `/proc/${pid}/task/${pid}/children`])).trim().split(' ')[0] ?? '';
  }

  /** Takes all memory of the container of the node's runtime, so that the kernel kills its engine. */
  async exhaustMemory(node: LabNode): Promise<void> {
    const { pid } = await runningContainer(node, 'runtime');
    const script = join(import.meta.dirname, 'exhaust-memory.sh');
    const { code, stderr } = await node.run(['sh', script, pid, await this.enginePid(node)]);
    // The next engine may come so early that the kernel kills the script, too.
    if (code !== 0 && code !== 137) throw new Error(`${script}: ${stderr}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
