import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '../support/wait.ts';
import { toolPath } from './build.ts';
import { type Access, Cluster } from './cluster.ts';
import { compact } from './etcd.ts';
import { LoggedProcess } from './process.ts';
import type { ProgramName } from './programs.ts';
import { type Identity, isReady } from './ready.ts';

/** The whole command of a process, for a program and its flags. */
export type CommandOf = (program: string, flags: readonly string[]) => readonly [string, readonly string[]];

/** How a control plane is started here. */
export type ControlPlane = {
  readonly access: Access;
  readonly identity: Identity;
  /** URL of etcd for this process. */
  readonly etcdServer: string;
  readonly flags: {
    readonly etcd: readonly string[];
    readonly apiServer: readonly string[];
    readonly controllerManager: readonly string[];
    readonly scheduler: readonly string[];
  };
  readonly commandOf: CommandOf;
};

const startMs = 100_000;

/** A cluster whose control plane is etcd and the programs of Kubernetes as child processes of this process. */
export abstract class ProcessCluster extends Cluster {
  readonly #plane: ControlPlane;
  readonly #processes = new Map<ProgramName, LoggedProcess>();

  protected constructor(plane: ControlPlane) {
    super(plane.access);
    this.#plane = plane;
  }

  /** A file that holds everything a process of the cluster wrote. */
  logFile(program: ProgramName): string {
    return join(this.folder, `${program}.log`);
  }

  protected async startEtcd(): Promise<void> {
    await this.startProgram('etcd', this.#plane.flags.etcd);
  }

  /** Returns when the namespace `default` holds its ServiceAccount. */
  protected async startControllerManager(): Promise<void> {
    await this.startProgram('kube-controller-manager', this.#plane.flags.controllerManager);
    await this.until('kube-controller-manager', 'the ServiceAccount of a namespace', async () => {
      const { code } = await this.kubectl('-n', 'default', 'get', 'serviceaccount', 'default');
      return code === 0;
    });
  }

  protected async startScheduler(): Promise<void> {
    await this.startProgram('kube-scheduler', this.#plane.flags.scheduler);
  }

  protected async startProgram(program: ProgramName, flags: readonly string[]): Promise<void> {
    const [command, args] = this.#plane.commandOf(await toolPath(program), flags);
    this.#processes.set(program, new LoggedProcess(program, command, args, this.logFile(program)));
  }

  #process(program: ProgramName): LoggedProcess {
    const found = this.#processes.get(program);
    if (found === undefined) throw new Error(`${program} does not run in this cluster`);
    return found;
  }

  /** Waits for `what`, which the program is to bring about; throws with its output, or with that of a process that ended. */
  protected async until(program: ProgramName, what: string, look: () => Promise<boolean>): Promise<void> {
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
    await this.startProgram('kube-apiserver', this.#plane.flags.apiServer);
    await this.until('kube-apiserver', 'the API server', () => isReady(this.server, this.#plane.identity));
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
    return compact(this.#plane.etcdServer);
  }

  async restartEtcd(): Promise<void> {
    await this.#process('etcd').end('SIGKILL');
    await this.startEtcd();
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
    await this.startEtcd();
    await this.startApiServer();
  }

  get #etcdFolders() {
    return { data: join(this.folder, 'etcd'), backup: join(this.folder, 'etcd-backup') };
  }

  protected async endProcesses(): Promise<void> {
    await Promise.all([...this.#processes.values()].map((process) => process.end('SIGKILL')));
  }
}
