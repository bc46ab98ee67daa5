import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProgramResult } from '../support/program.ts';
import { waitFor } from '../support/wait.ts';
import { kubeconfig } from './certificates.ts';
import { runKubectl } from './kubectl.ts';
import { type Kind, Reader } from './reader.ts';

const crds = join(import.meta.dirname, '../../crds');

export type TokenRequest = {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Default: the API server itself. */
  readonly audience?: string;
  /** Name of a Pod of the namespace: the token says this pod and its node, and dies with the pod. */
  readonly boundPod?: string;
  /** The API server gives at least 600. */
  readonly expirationSeconds?: number;
};

export type PodRequest = {
  readonly namespace: string;
  readonly name: string;
  readonly serviceAccount: string;
  /** The Node is made when there is none of this name. No kubelet runs: nothing starts. */
  readonly node: string;
};

/** Where a cluster is and as whom to speak to it. */
export type Access = {
  /** Path of a kubeconfig of a cluster-admin. */
  readonly kubeconfig: string;
  /** URL of the API server. */
  readonly server: string;
  /** Path of the certificate authority of the API server. */
  readonly caFile: string;
  /** A folder for files of this process. */
  readonly folder: string;
};

/** A real Kubernetes API server that tests use: what can be done with any cluster. */
export abstract class Cluster implements AsyncDisposable {
  readonly kubeconfig: string;
  readonly server: string;
  readonly caFile: string;
  protected readonly folder: string;
  #reader: Reader | undefined;

  constructor(access: Access) {
    this.kubeconfig = access.kubeconfig;
    this.server = access.server;
    this.caFile = access.caFile;
    this.folder = access.folder;
  }

  /** Runs the real kubectl as cluster-admin. */
  kubectl(...args: readonly string[]): Promise<ProgramResult> {
    return this.kubectlWith({}, ...args);
  }

  /** The same with an input, or as the user of another kubeconfig. */
  kubectlWith(
    options: { readonly stdin?: string; readonly kubeconfig?: string },
    ...args: readonly string[]
  ): Promise<ProgramResult> {
    return runKubectl(args, {
      kubeconfig: this.kubeconfig,
      cache: join(this.folder, 'kubectl-cache'),
      ...options,
    });
  }

  /** Gives what kubectl wrote; throws with its words when it fails. */
  async kubectlOk(args: readonly string[], stdin?: string): Promise<string> {
    const { code, stdout, stderr } = await this.kubectlWith(stdin === undefined ? {} : { stdin }, ...args);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /** An object as the API server has it; undefined while there is none, and while nothing answers. */
  get<T>(kind: Kind, name: string, namespace: string): Promise<T | undefined> {
    this.#reader ??= new Reader(this.kubeconfig);
    return this.#reader.get<T>(kind, name, namespace);
  }

  /** Applies the CRDs of this project and waits until the API server serves them. */
  async installCrds(): Promise<void> {
    const files = ['-f', crds];
    await this.kubectlOk(['apply', '--server-side', '--force-conflicts', ...files]);
    await this.kubectlOk(['wait', '--for=condition=Established', '--timeout=30s', ...files]);
    const names = [
      'adapters',
      'adapterrollouts',
      'adapterroutes',
      'adapterpolicies',
      'adapterruntimes',
      'adapteranalyses',
    ];
    // An established kind is in discovery a moment later. This also renews what kubectl remembers of it.
    await waitFor('the API server to serve the kinds', async () => {
      const served = await this.kubectlOk(['api-resources', '--api-group=adaptlet.io', '-o', 'name']);
      return names.every((name) => served.includes(`${name}.adaptlet.io`));
    });
  }

  /** A new namespace that holds the ServiceAccount `default`, as a namespace of every cluster does. */
  async createNamespace(prefix = 'test'): Promise<string> {
    const name = `${prefix}-${randomBytes(4).toString('hex')}`;
    await this.kubectlOk(['create', 'namespace', name]);
    await this.ensureServiceAccount(name, 'default');
    return name;
  }

  async ensureServiceAccount(namespace: string, name: string): Promise<void> {
    const { code, stderr } = await this.kubectl('-n', namespace, 'create', 'serviceaccount', name);
    if (code !== 0 && !stderr.includes('AlreadyExists') && !stderr.includes('already exists')) {
      throw new Error(`serviceaccount ${namespace}/${name}: ${stderr}`);
    }
  }

  /** A token by the TokenRequest API. */
  async token(request: TokenRequest): Promise<string> {
    const { namespace, serviceAccount, audience, boundPod, expirationSeconds } = request;
    const args = [
      '-n',
      namespace,
      'create',
      'token',
      serviceAccount,
      ...(audience === undefined ? [] : [`--audience=${audience}`]),
      ...(expirationSeconds === undefined ? [] : [`--duration=${expirationSeconds}s`]),
      ...(boundPod === undefined ? [] : ['--bound-object-kind=Pod', `--bound-object-name=${boundPod}`]),
    ];
    return (await this.kubectlOk(args)).trim();
  }

  /** Path of a kubeconfig that holds a token of a ServiceAccount, which is made when there is none. */
  async serviceAccountKubeconfig(account: {
    readonly namespace: string;
    readonly name: string;
    readonly expirationSeconds?: number;
  }): Promise<string> {
    const { namespace, name, ...rest } = account;
    await this.ensureServiceAccount(namespace, name);
    const token = await this.token({ namespace, serviceAccount: name, expirationSeconds: 3600, ...rest });
    const path = join(this.folder, `${namespace}-${name}-${randomBytes(3).toString('hex')}.kubeconfig`);
    await writeFile(path, kubeconfig(this.server, await readFile(this.caFile), { token }), { mode: 0o600 });
    return path;
  }

  /** A Pod that is bound to a node, so that tokens can be bound to it. Gives its uid. */
  async createPod({ namespace, name, serviceAccount, node }: PodRequest): Promise<string> {
    const nodeObject = { apiVersion: 'v1', kind: 'Node', metadata: { name: node } };
    const made = await this.kubectlWith({ stdin: JSON.stringify(nodeObject) }, 'create', '-f', '-');
    if (made.code !== 0 && !made.stderr.includes('already exists')) throw new Error(made.stderr);
    await this.ensureServiceAccount(namespace, serviceAccount);
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name },
      spec: {
        nodeName: node,
        serviceAccountName: serviceAccount,
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'main', image: 'none' }],
      },
    };
    const args = ['create', '-o', 'jsonpath={.metadata.uid}', '-f', '-'];
    // The admission of the API server learns of a new ServiceAccount by a watch.
    return waitFor(`pod ${namespace}/${name}`, () => this.kubectlOk(args, JSON.stringify(pod)), 10_000);
  }

  /** SIGTERM (default) lets the server end as in a rolling update; SIGKILL cuts everything at once. */
  abstract stopApiServer(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** The same port, the same data. Returns when it is ready. */
  abstract startApiServer(): Promise<void>;
  /** From here on connections stay open and nothing is answered. */
  abstract pauseApiServer(): void;
  abstract resumeApiServer(): void;
  /**
   * Forgets the history in etcd up to now. A server that runs answers old watches and continue tokens from its own
   * memory: after {@link restartApiServer} they get 410 Gone.
   */
  abstract compactEtcd(): Promise<void>;
  /** Kills etcd and starts it with its data. */
  abstract restartEtcd(): Promise<void>;
  /** Keeps what etcd has now, for {@link restoreEtcd}. */
  abstract backUpEtcd(): Promise<void>;
  /** The whole cluster is as it was at the backup, with its versions. Returns when the API server is ready. */
  abstract restoreEtcd(): Promise<void>;
  abstract close(): Promise<void>;

  async restartApiServer(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.stopApiServer(signal);
    await this.startApiServer();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
