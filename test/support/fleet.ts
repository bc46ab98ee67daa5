import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { RolloutStatus } from '../../src/api/rollout-status.ts';
import type { RuntimeObjectStatus } from '../../src/api/runtime.ts';
import { type Cluster, type Kind, startCluster, toolPath } from '../cluster/index.ts';
import { kubectlAdaptlet } from './cli.ts';
import { FrontDoor } from './front-door.ts';
import { type NodeOptions, TestNode, tiny } from './node.ts';
import { type OperatorOptions, TestOperator, thisMachine } from './operator.ts';
import { programFolder, repositoryRoot } from './process.ts';
import type { ProgramResult } from './program.ts';
import { waitFor } from './wait.ts';

const run = promisify(execFile);

export type FleetOptions = {
  readonly replicas?: number;
  readonly runtimes?: number;
  /** Settings of every operator, and of every runtime. */
  readonly operatorSettings?: Readonly<Record<string, string>>;
  readonly operatorEnv?: Readonly<Record<string, string>>;
  readonly nodeSettings?: Readonly<Record<string, string>>;
  readonly nodeEnv?: Readonly<Record<string, string>>;
  readonly cluster?: Cluster;
  readonly say?: (text: string) => void;
  /** Operators and runtimes end when this process is killed. */
  readonly endWithUs?: boolean;
  /** Root of the sources that everything starts from, default this repository. */
  readonly tree?: string;
  /** Lifetime of the tokens of operators and runtimes, default an hour. */
  readonly tokenSeconds?: number;
};

export const systemNamespace = 'adaptlet-system';

/**
 * The main job in one place: a real API server, replicas of the operator and runtimes on the tiny model, all of them
 * processes, with the rights and the identities that the Helm chart gives them.
 */
export class TestFleet implements AsyncDisposable {
  readonly cluster: Cluster;
  /** Where the objects of the tests live. */
  readonly namespace: string;
  readonly operators: TestOperator[] = [];
  readonly nodes: TestNode[] = [];
  /** Stands for the Service of the operator: what runtimes dial. */
  readonly door: FrontDoor;
  readonly folder: string;
  readonly #options: FleetOptions;
  readonly #ownsCluster: boolean;
  readonly #operatorOptions: OperatorOptions[] = [];
  readonly #nodeOptions: NodeOptions[] = [];

  private constructor(
    cluster: Cluster,
    namespace: string,
    door: FrontDoor,
    folder: string,
    options: FleetOptions,
  ) {
    this.cluster = cluster;
    this.namespace = namespace;
    this.door = door;
    this.folder = folder;
    this.#options = options;
    this.#ownsCluster = options.cluster === undefined;
  }

  static async start(options: FleetOptions = {}): Promise<TestFleet> {
    const say = options.say ?? (() => undefined);
    const cluster = options.cluster ?? (await startCluster({ controllerManager: true }));
    const folder = await mkdtemp(join(tmpdir(), 'adaptlet-fleet-'));
    say(`an API server at ${cluster.server}`);
    await helmChart(cluster, 'install', options.tree);
    const namespace = await cluster.createNamespace('team');
    const door = new FrontDoor();
    const fleet = new TestFleet(cluster, namespace, door, folder, options);
    await Promise.all(Array.from({ length: options.replicas ?? 2 }, (_, i) => fleet.startOperator(i)));
    say(`${fleet.operators.length} replicas of the operator`);
    await Promise.all(Array.from({ length: options.runtimes ?? 3 }, (_, i) => fleet.startNode(i)));
    say(`${fleet.nodes.length} runtimes`);
    return fleet;
  }

  /** `more`: settings of this one. */
  async startOperator(index: number, more: Readonly<Record<string, string>> = {}): Promise<TestOperator> {
    const kubeconfig = await this.cluster.serviceAccountKubeconfig({
      namespace: systemNamespace,
      name: 'adaptlet-operator',
      expirationSeconds: this.#options.tokenSeconds ?? 3600,
    });
    this.#operatorOptions[index] = {
      kubeconfig,
      namespace: systemNamespace,
      identity: `operator-${index}`,
      settings: { 'lease-duration': '3s', ...this.#options.operatorSettings, ...more },
      env: this.#options.operatorEnv,
      tree: this.#options.tree,
      endWithUs: this.#options.endWithUs,
    };
    return this.restartOperator(index);
  }

  /**
   * Starts an operator as it was started before; unlike {@link startOperator} also without an API server. `tree`: root
   * of other sources.
   */
  async restartOperator(index: number, tree?: string): Promise<TestOperator> {
    const options = this.#operatorOptions[index];
    if (options === undefined) throw new Error(`operator ${index} was never started`);
    const operator = await TestOperator.start(tree === undefined ? options : { ...options, tree });
    this.operators[index] = operator;
    this.door.route(`operator-${index}`, operator.grpc);
    return operator;
  }

  /** `node`: the Node that it runs on, of which it is one runtime of several. */
  async startNode(
    index: number,
    more: Readonly<Record<string, string>> = {},
    node = `node-${index}`,
  ): Promise<TestNode> {
    const name = more['runtime-name'] ?? node;
    const pod = `adaptlet-runtime-${index}`;
    const account = { namespace: systemNamespace, serviceAccount: 'adaptlet-runtime' };
    const known = await this.cluster.kubectl('-n', systemNamespace, 'get', 'pod', pod);
    if (known.code !== 0) await this.cluster.createPod({ ...account, name: pod, node });
    const token = join(this.folder, `${name}.token`);
    const expirationSeconds = this.#options.tokenSeconds ?? 3600;
    const bound = { audience: 'adaptlet', boundPod: pod, expirationSeconds };
    const text = await this.cluster.token({ ...account, ...bound });
    await writeFile(token, text, { mode: 0o600 });
    this.#nodeOptions[index] = {
      folder: join(this.folder, name),
      settings: {
        manifests: '',
        operator: await this.door.addressOf(name),
        'operator-ca': await this.authority(),
        'operator-token': token,
        'runtime-namespace': systemNamespace,
        'runtime-name': name,
        namespace: this.namespace,
        ...this.#options.nodeSettings,
        ...more,
      },
      env: this.#options.nodeEnv ?? {},
      tree: this.#options.tree,
      endWithUs: this.#options.endWithUs,
    };
    return this.restartNode(index);
  }

  /**
   * Starts a runtime as it was started before, with its folder; unlike {@link startNode} also without an API server.
   * `env`: of this process alone. `tree`: root of other sources.
   */
  async restartNode(
    index: number,
    env: Readonly<Record<string, string>> = {},
    tree?: string,
  ): Promise<TestNode> {
    const options = this.#nodeOptions[index];
    if (options === undefined) throw new Error(`runtime ${index} was never started`);
    const from = tree ?? options.tree ?? repositoryRoot;
    const settings = {
      ...thisMachine(from, 'src/runtime/config/source-settings.ts', 'src/runtime/config/settings.ts'),
      ...options.settings,
    };
    const started = await TestNode.start({
      ...options,
      settings,
      env: { ...options.env, ...env },
      tree: from,
    });
    this.nodes[index] = started;
    return started;
  }

  /** Path of a file with the bundle that the operator publishes for runtimes. */
  async authority(): Promise<string> {
    const path = join(this.folder, 'ca.crt');
    const bundle = await waitFor('the certificate authority', async () =>
      this.cluster.kubectlOk([
        '-n',
        systemNamespace,
        'get',
        'configmap',
        'adaptlet-ca',
        '-o',
        'jsonpath={.data.ca\\.crt}',
      ]),
    );
    await writeFile(path, bundle);
    return path;
  }

  /** Upgrades the chart, with its CRDs, to that of other sources. */
  upgradeChart(tree: string): Promise<void> {
    return helmChart(this.cluster, 'upgrade', tree);
  }

  apply(yaml: string): Promise<string> {
    return this.cluster.kubectlOk(['-n', this.namespace, 'apply', '-f', '-'], yaml);
  }

  /** Runs kubectl-adaptlet in the namespace of the tests. */
  plugin(...args: readonly string[]): Promise<ProgramResult> {
    return kubectlAdaptlet(...args, '--kubeconfig', this.cluster.kubeconfig, '-n', this.namespace);
  }

  /** Undefined while there is no such object, and while the API server does not answer. */
  get<T>(kind: Kind, name: string, namespace = this.namespace): Promise<T | undefined> {
    return this.cluster.get<T>(kind, name, namespace);
  }

  /** Status of a rollout as it is now specified; undefined until the operator has seen that, and while there is none. */
  async rollout(name: string): Promise<RolloutStatus | undefined> {
    type Rollout = { readonly metadata: { readonly generation: number }; readonly status?: RolloutStatus };
    const rollout = await this.get<Rollout>('aro', name);
    const isSeen = rollout?.status?.observedGeneration === rollout?.metadata.generation;
    return isSeen ? rollout?.status : undefined;
  }

  async runtime(index: number): Promise<RuntimeObjectStatus | undefined> {
    const found = await this.get<{ status?: RuntimeObjectStatus }>('adr', `node-${index}`, systemNamespace);
    return found?.status;
  }

  /** Bytes that the replicas wrote to runtimes, without those of TLS and HTTP/2, by their own count. */
  async sentBytes(): Promise<number> {
    const texts = await Promise.all(this.operators.map((operator) => operator.metrics()));
    return texts.reduce(
      (sum, text) => sum + Number(/^adaptlet_operator_sync_sent_bytes_total (\d+)$/m.exec(text)?.[1] ?? 0),
      0,
    );
  }

  /** The replica that leads, by its own metrics. */
  async leader(): Promise<TestOperator> {
    return waitFor('a leader', async () => {
      for (const operator of this.operators) {
        if (operator.isRunning && /^adaptlet_operator_leader 1$/m.test(await operator.metrics()))
          return operator;
      }
      return undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end('SIGKILL')));
    await Promise.all(this.operators.map((operator) => operator.end('SIGKILL')));
    await this.door.close();
    if (this.#ownsCluster) await this.cluster.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Installs or upgrades the chart as a user would: CRDs, rights, accounts and the workloads, which nothing runs here. */
const helmChart = async (
  cluster: Cluster,
  verb: 'install' | 'upgrade',
  tree = repositoryRoot,
): Promise<void> => {
  const helm = await toolPath('helm');
  const chart = join(tree, 'charts/adaptlet');
  const args = [verb, 'adaptlet', chart, '-n', systemNamespace];
  if (verb === 'install') args.push('--create-namespace');
  await run(helm, [...args, '--kubeconfig', cluster.kubeconfig]);
  const crds = join(tree, 'crds');
  await cluster.kubectlOk(['wait', '--for=condition=Established', '--timeout=30s', '-f', crds]);
};

/** What the chart grants the operator with a value, written as for `--set`. */
export const grantByChart = async (cluster: Cluster, value: string): Promise<void> => {
  const chart = join(repositoryRoot, 'charts/adaptlet');
  const values = ['--kube-version', '1.34.0', '--set', value];
  const shown = ['--show-only', 'templates/operator-access.yaml', '-n', systemNamespace];
  const { stdout } = await run(await toolPath('helm'), ['template', 'adaptlet', chart, ...values, ...shown]);
  await cluster.kubectlOk(['apply', '-f', '-'], stdout);
};

/** The rights of `credentials.namespaces` for the namespace of a fleet. */
export const letReadSecrets = ({ cluster, namespace }: TestFleet): Promise<void> =>
  grantByChart(cluster, `credentials.namespaces={${namespace}}`);

const digests = new Map<string, Promise<string>>();

/** Digest of a folder of adapters, as `adaptlet digest` prints it. */
export const digestOfFolder = (path: string): Promise<string> => {
  const known = digests.get(path);
  if (known !== undefined) return known;
  const found = run(join(programFolder(), 'adaptlet'), ['digest', join(tiny.root, path)]).then(({ stdout }) =>
    stdout.trim(),
  );
  digests.set(path, found);
  return found;
};

/** An Adapter of the tiny model for a cluster, where a path needs a digest. */
export const clusterAdapter = async (name: string, path: string, extra = ''): Promise<string> =>
  `apiVersion: adaptlet.io/v1alpha1\nkind: Adapter\nmetadata: {name: ${name}}\nspec:\n  baseModel: tiny\n  source: {path: {path: ${path}}}\n  digest: ${await digestOfFolder(path)}\n${extra}---\n`;
