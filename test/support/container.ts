import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { UnpackedImage } from './unpacked-image.ts';

export type Mount = { readonly source: string; readonly at: string; readonly writable?: boolean };

export type ContainerOptions = {
  readonly runc: string;
  readonly image: UnpackedImage;
  /** Where its bundle and its state lie. */
  readonly folder: string;
  readonly args: readonly string[];
  readonly mounts?: readonly Mount[];
  /** In the place of the image's entry point. */
  readonly entrypoint?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

const temporary = (destination: string, mode: string): object => ({
  destination,
  type: 'tmpfs',
  source: 'tmpfs',
  options: ['nosuid', 'nodev', `mode=${mode}`, 'size=64m'],
});

/** As the chart's security context has it: not root, no capabilities, a root that is read only. The network is this machine's. */
const specification = ({ image, args, mounts = [], entrypoint, env = {} }: ContainerOptions): object => {
  const [uid = 0, gid = 0] = image.config.User.split(':').map(Number);
  return {
    ociVersion: '1.0.2',
    process: {
      user: { uid, gid },
      args: [...(entrypoint ?? image.config.Entrypoint), ...args],
      env: [...image.config.Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)],
      cwd: '/',
      capabilities: {},
      noNewPrivileges: true,
    },
    root: { path: image.rootfs, readonly: true },
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=64k'] },
      temporary('/tmp', '1777'),
      ...mounts.map(({ source, at, writable = false }) => ({
        destination: at,
        type: 'bind',
        source,
        options: ['bind', writable ? 'rw' : 'ro'],
      })),
    ],
    linux: { namespaces: ['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })) },
  };
};

/** A container of an image, run by runc. */
export class Container implements AsyncDisposable {
  /** Lines of stdout and of stderr. */
  readonly output: readonly string[];
  readonly log: readonly string[];
  /** From the start of runc, ms of `performance.now()`. */
  readonly started: number;
  readonly #child: ChildProcess;
  readonly #first: Promise<string>;

  private constructor(child: ChildProcess, started: number) {
    const [output, log]: [string[], string[]] = [[], []];
    this.#child = child;
    this.started = started;
    this.output = output;
    this.log = log;
    if (child.stdout === null || child.stderr === null) throw new Error('runc has no pipes');
    createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
    const lines = createInterface({ input: child.stdout });
    this.#first = new Promise((resolve, reject) => {
      lines.once('line', resolve);
      child.once('error', reject);
      child.once('close', (code) =>
        reject(new Error(`the container ended (${code}) without a word:\n${log.slice(-20).join('\n')}`)),
      );
    });
    // Who does not ask for it has the output.
    this.#first.catch(() => undefined);
    lines.on('line', (line) => output.push(line));
  }

  static async start(options: ContainerOptions): Promise<Container> {
    const name = `adaptlet-${randomUUID()}`;
    const bundle = join(options.folder, name);
    await mkdir(bundle, { recursive: true });
    await writeFile(join(bundle, 'config.json'), JSON.stringify(specification(options)));
    const started = performance.now();
    const child = spawn(
      options.runc,
      ['--root', join(options.folder, 'state'), 'run', '--bundle', bundle, name],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    child.once('close', () => void rm(bundle, { recursive: true, force: true }));
    return new Container(child, started);
  }

  /**
   * The first line of stdout.
   * @throws it ended before
   */
  get firstLine(): Promise<string> {
    return this.#first;
  }

  /** Waits for the end; gives the exit code of its first process. */
  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null) await once(this.#child, 'close');
    return this.#child.exitCode;
  }

  /** Sends a signal to its first process and waits for the end. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#child.kill(signal);
    return this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.end('SIGTERM');
  }
}
