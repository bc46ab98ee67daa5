import { cp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '../support/wait.ts';
import { toolPath } from './build.ts';
import { certificateKubeconfig, makeCertificates } from './certificates.ts';
import { Cluster } from './cluster.ts';
import { compact } from './etcd.ts';
import { apiServerFlags, controllerManagerFlags, etcdFlags, type Layout, schedulerFlags } from './flags.ts';
import { makeFolder, removeFolder } from './folder.ts';
import { freePort } from './ports.ts';
import { LoggedProcess } from './process.ts';
import type { ProgramName } from './programs.ts';
import { type Identity, isReady, readIdentity } from './ready.ts';

export type ClusterOptions = {
  /** Garbage collection, namespace deletion, ServiceAccounts, Deployments and the like. */
  readonly controllerManager?: boolean;
  readonly scheduler?: boolean;
  /** Added to those of the API server, such as `--watch-cache=false`. */
  readonly apiServerFlags?: readonly string[];
};

const startMs = 100_000;

/** etcd and a Kubernetes control plane as child processes of this process. */
export class LocalCluster extends Cluster {
  readonly #layout: Layout;
  readonly #identity: Identity;
  readonly #flags: readonly string[];
  readonly #processes = new Map<ProgramName, LoggedProcess>();

  private constructor(layout: Layout, identity: Identity, flags: readonly string[]) {
    super({
      kubeconfig: join(layout.pki, 'admin.kubeconfig'),
      server: `https://127.0.0.1:${layout.apiPort}`,
      caFile: join(layout.pki, 'ca.crt'),
      folder: layout.folder,
    });
    this.#layout = layout;
    this.#identity = identity;
    this.#flags = flags;
  }

  /** Throws with the end of a process's output when that process does not come up. */
  static async start(options: ClusterOptions = {}): Promise<LocalCluster> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await LocalCluster.#startOnce(options);
      } catch (error) {
        // Another test took a port between the look and the start.
        if (attempt === 3 || !String(error).includes('address already in use')) throw error;
      }
    }
  }

  static async #startOnce(options: ClusterOptions): Promise<LocalCluster> {
    const folder = await makeFolder();
    const pki = join(folder, 'pki');
    const [etcdPort, etcdPeerPort, apiPort] = [await freePort(), await freePort(), await freePort()];
    const layout: Layout = { folder, pki, etcdPort, etcdPeerPort, apiPort };
    await makeCertificates(pki);
    for (const name of ['admin', 'controller-manager', 'scheduler']) {
      const text = await certificateKubeconfig(pki, name, `https://127.0.0.1:${apiPort}`);
      await writeFile(join(pki, `${name}.kubeconfig`), text, { mode: 0o600 });
    }
    const cluster = new LocalCluster(layout, await readIdentity(pki), options.apiServerFlags ?? []);
    try {
      await cluster.#start('etcd', etcdFlags(layout));
      await cluster.startApiServer();
      if (options.controllerManager === true) {
        await cluster.#start('kube-controller-manager', controllerManagerFlags(layout));
        await cluster.#until('kube-controller-manager', 'the ServiceAccount of a namespace', async () => {
          const { code } = await cluster.kubectl('-n', 'default', 'get', 'serviceaccount', 'default');
          return code === 0;
        });
      }
      if (options.scheduler === true) await cluster.#start('kube-scheduler', schedulerFlags(layout));
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  /** A file that holds everything a process of the cluster wrote. */
  logFile(program: ProgramName): string {
    return join(this.#layout.folder, `${program}.log`);
  }

  async #start(program: ProgramName, flags: readonly string[]): Promise<void> {
    const binary = await toolPath(program);
    this.#processes.set(program, new LoggedProcess(program, binary, flags, this.logFile(program)));
  }

  #process(program: ProgramName): LoggedProcess {
    const found = this.#processes.get(program);
    if (found === undefined) throw new Error(`${program} does not run in this cluster`);
    return found;
  }

  async #until(program: ProgramName, what: string, look: () => Promise<boolean>): Promise<void> {
    const processes = [...this.#processes.values()];
    try {
      await waitFor(what, async () => processes.some((each) => !each.alive) || (await look()), startMs);
    } catch (error) {
      const output = this.#process(program).tail();
      throw new Error(`${program} did not come up; the end of its output:\n${output}`, { cause: error });
    }
    for (const each of processes) each.throwWhenEnded();
  }

  async startApiServer(): Promise<void> {
    const running = this.#processes.get('kube-apiserver');
    if (running?.alive === true) throw new Error('the API server runs already');
    await this.#start('kube-apiserver', [...apiServerFlags(this.#layout), ...this.#flags]);
    await this.#until('kube-apiserver', 'the API server', () => isReady(this.server, this.#identity));
  }

  async stopApiServer(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    await this.#process('kube-apiserver').end(signal);
  }

  pauseApiServer(): void {
    this.#process('kube-apiserver').signal('SIGSTOP');
  }

  resumeApiServer(): void {
    this.#process('kube-apiserver').signal('SIGCONT');
  }

  compactEtcd(): Promise<void> {
    return compact(`http://127.0.0.1:${this.#layout.etcdPort}`);
  }

  async backUpEtcd(): Promise<void> {
    const { data, backup } = this.#etcdFolders;
    const etcd = this.#process('etcd');
    await rm(backup, { recursive: true, force: true });
    // A process that stands still: its files are those of a crash at this moment, and etcd comes up from those.
    etcd.signal('SIGSTOP');
    try {
      await cp(data, backup, { recursive: true });
    } finally {
      etcd.signal('SIGCONT');
    }
  }

  async restoreEtcd(): Promise<void> {
    const { data, backup } = this.#etcdFolders;
    await this.stopApiServer('SIGKILL');
    await this.#process('etcd').end('SIGKILL');
    await rm(data, { recursive: true });
    await cp(backup, data, { recursive: true });
    await this.#start('etcd', etcdFlags(this.#layout));
    await this.startApiServer();
  }

  get #etcdFolders() {
    return { data: join(this.#layout.folder, 'etcd'), backup: join(this.#layout.folder, 'etcd-backup') };
  }

  async close(): Promise<void> {
    await Promise.all([...this.#processes.values()].map((process) => process.end('SIGKILL')));
    await removeFolder(this.#layout.folder);
  }
}
