import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { endingWithParent } from '../cluster/process.ts';

export const repositoryRoot = join(import.meta.dirname, '../..');

/** Set by bundled-programs.ts, where nobody else did. */
export const programFolderVariable = 'ADAPTLET_TEST_PROGRAMS';

/** Folder of `adaptlet` and `kubectl-adaptlet`: bundled in suites that start many processes, else from the sources. */
export const programFolder = (): string => process.env[programFolderVariable] ?? join(repositoryRoot, 'bin');

/** Lines of log that are kept, the newest. */
const keptLines = 20_000;

export type ProcessOptions = {
  /** Flags by name; '' leaves one out. */
  readonly settings: Readonly<Record<string, string>>;
  /** On top of those of this process. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Root of the sources that run, default this repository. */
  readonly tree?: string | undefined;
  /** It ends when this process is killed. */
  readonly endWithUs?: boolean | undefined;
  /** Folder of the control group that it, and what it starts, lives in. */
  readonly group?: string | undefined;
};

/** Starts a program in a control group. */
const inGroup = (group: string, program: string): [file: string, prefix: readonly string[]] => [
  '/bin/sh',
  ['-c', 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"', 'sh', group, program],
];

/** A real `adaptlet` process that says in one line of JSON where it listens. */
export class AdaptletProcess<Ready> {
  readonly ready: Ready;
  /** Lines of stderr. */
  readonly log: readonly string[];
  readonly #child: ChildProcess;

  private constructor(ready: Ready, log: readonly string[], child: ChildProcess) {
    this.ready = ready;
    this.log = log;
    this.#child = child;
  }

  /**
   * Resolves once it listens.
   * @throws its last lines when it ended before
   */
  static async start<Ready>(
    command: 'serve' | 'operator',
    { settings, env, tree = repositoryRoot, endWithUs = false, group }: ProcessOptions,
  ): Promise<AdaptletProcess<Ready>> {
    const flags = Object.entries(settings).flatMap(([name, value]) =>
      value === '' ? [] : [`--${name}`, value],
    );
    const program = join(tree === repositoryRoot ? programFolder() : join(tree, 'bin'), 'adaptlet');
    const alone: [file: string, prefix: readonly string[]] =
      group === undefined ? [program, []] : inGroup(group, program);
    const [file, prefix] = endWithUs ? endingWithParent(program) : alone;
    const child = spawn(file, [...prefix, command, ...flags], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.push(line);
      if (log.length > keptLines) log.shift();
    });
    const ready = await new Promise<Ready>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', (line) => resolve(JSON.parse(line) as Ready));
      child.once('error', reject);
      child.once('exit', (code, signal) =>
        reject(new Error(`${command} ended (${code ?? signal}):\n${log.slice(-20).join('\n')}`)),
      );
    });
    return new AdaptletProcess(ready, log, child);
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }
  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** From here on nobody reads what it logs. */
  stallLog(): void {
    this.#child.stderr?.pause();
  }

  /** Sends a signal and waits for the end; gives the exit code, null after a signal that ended it. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (!this.isRunning) return this.#child.exitCode;
    const exit = new Promise<number | null>((resolve) => this.#child.once('exit', resolve));
    this.#child.kill(signal);
    return exit;
  }
}
