import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { makeFolder, removeFolder } from '../cluster/folder.ts';
import { repositoryRoot } from '../support/process.ts';
import { addTraffic, noTraffic } from './link.ts';
import type {
  Answer,
  Census,
  EffectiveQuestion,
  HostOptions,
  Names,
  Order,
  Orders,
  Reached,
} from './orders.ts';
import type { Followed } from './runtime.ts';

export type HollowFleetOptions = Omit<HostOptions, 'folder'> & {
  /** Runtimes of one process. Default 250. */
  readonly perProcess?: number;
  /** More of the environment of these processes. */
  readonly env?: Readonly<Record<string, string>>;
};

type Argument<Name extends keyof Orders> = Parameters<Orders[Name]>[0];

/** The other end of host.ts. */
class Host {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #orders = 0;

  constructor(env: Readonly<Record<string, string>>) {
    this.#child = fork(join(import.meta.dirname, 'host.ts'), {
      execArgv: ['--disable-warning=ExperimentalWarning'],
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        NODE_COMPILE_CACHE: join(repositoryRoot, 'node_modules/.cache/node'),
        ...env,
      },
    });
    this.#child.on('message', ({ id, answer, error }: Answer) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(answer);
      else waiting?.reject(new Error(`a host of hollow runtimes: ${error}`));
    });
    this.#child.once('exit', (code, signal) => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`a host of hollow runtimes ended (${code ?? signal})`));
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  async tell<Name extends keyof Orders>(
    name: Name,
    argument?: Argument<Name>,
  ): Promise<Awaited<ReturnType<Orders[Name]>>> {
    const id = this.#orders++;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.#child.send({ id, name, argument } satisfies Order);
    return (await waiting.promise) as Awaited<ReturnType<Orders[Name]>>;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}

const together = (all: readonly Reached[]): Reached => ({
  at: Object.assign({}, ...all.map(({ at }) => at)) as Reached['at'],
  missing: all.flatMap(({ missing }) => missing),
});

/** Hollow runtimes in as many processes as they need, commanded as one. */
export class HollowFleet implements AsyncDisposable {
  readonly #starts: readonly HostOptions[];
  readonly #hosts: readonly Host[];
  /** Where plans are written: in memory, since the disk of this machine is not that of many nodes. */
  readonly #folder: string;

  private constructor(
    starts: readonly HostOptions[],
    { folder, env }: { readonly folder: string; readonly env: Readonly<Record<string, string>> },
  ) {
    this.#starts = starts;
    this.#hosts = starts.map(() => new Host(env));
    this.#folder = folder;
  }

  /** Their processes, in which nothing runs yet: who waits for {@link connect} has what to dispose of. */
  static async open({
    runtimes,
    perProcess = 250,
    env = {},
    ...options
  }: HollowFleetOptions): Promise<HollowFleet> {
    const folder = await makeFolder();
    const starts: HostOptions[] = [];
    for (let from = 0; from < runtimes.length; from += perProcess)
      starts.push({ ...options, folder, runtimes: runtimes.slice(from, from + perProcess) });
    return new HollowFleet(starts, { folder, env });
  }

  /**
   * Starts all of them. Resolves when they are connected.
   * @throws which ones are not after two minutes, and why
   */
  async connect(): Promise<void> {
    const started = await Promise.all(
      this.#hosts.map((host, index) => host.tell('start', this.#starts[index])),
    );
    if (together(started).missing.length === 0) return;
    const why = Object.assign({}, ...started.map((one) => one.why)) as Record<string, string>;
    throw new Error(`not connected: ${JSON.stringify(why)}`);
  }

  get pids(): readonly number[] {
    return this.#hosts.map(({ pid }) => pid);
  }

  cut(names: Names = 'all'): Promise<unknown> {
    return this.#all('cut', names);
  }
  restore(names: Names = 'all'): Promise<unknown> {
    return this.#all('restore', names);
  }
  dial(addresses: readonly string[]): Promise<unknown> {
    return this.#all('dial', addresses);
  }
  /** Resolves when all of them are connected, or the time is over. */
  async whenConnected(timeoutMs: number, names: Names = 'all'): Promise<Reached> {
    return together(await this.#all('whenConnected', { names, timeoutMs }));
  }
  /** Resolves when the canary of a rollout has that weight on all of them, or the time is over. */
  async whenEffective(question: EffectiveQuestion): Promise<Reached> {
    return together(await this.#all('whenEffective', question));
  }
  async census(): Promise<Census> {
    const all = await this.#all('census');
    const sum = (
      of: (census: Census) => Readonly<Partial<Record<string, number>>>,
    ): Record<string, number> => {
      const total: Record<string, number> = {};
      for (const [key, count] of all.flatMap((one) => Object.entries(of(one))))
        total[key] = (total[key] ?? 0) + (count ?? 0);
      return total;
    };
    return {
      connected: all.reduce((count, { connected }) => count + connected, 0),
      traffic: all.map(({ traffic }) => traffic).reduce(addTraffic, noTraffic),
      errors: sum(({ errors }) => errors),
      lies: sum(({ lies }) => lies),
    };
  }

  /** What the plan in force of each says. */
  async followed(): Promise<Readonly<Record<string, Followed>>> {
    return Object.assign({}, ...(await this.#all('followed'))) as Record<string, Followed>;
  }
  skew(names: Names, ms: number): Promise<unknown> {
    return this.#all('skew', { names, ms });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.end()));
    await removeFolder(this.#folder);
  }

  #all<Name extends keyof Orders>(name: Name, argument?: Argument<Name>) {
    return Promise.all(this.#hosts.map((host) => host.tell(name, argument)));
  }
}
