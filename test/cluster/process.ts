import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Every child that runs: what is still here when this process ends is killed. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

const setpriv = (process.env['PATH'] ?? '')
  .split(delimiter)
  .map((folder) => join(folder, 'setpriv'))
  .find((path) => existsSync(path));

/** A command as it ends when who starts it is killed, with its first arguments: on Linux, by setpriv of util-linux. */
export const endingWithParent = (command: string): [command: string, prefix: string[]] =>
  setpriv === undefined ? [command, []] : [setpriv, ['--pdeathsig', 'SIGKILL', '--', command]];

/**
 * A child process whose output goes to a file. It does not survive this process: on Linux the kernel kills it even
 * when this process is killed; elsewhere an exit handler does.
 */
export class LoggedProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #log: string;
  readonly #ended: Promise<void>;

  constructor(name: string, binary: string, args: readonly string[], log: string) {
    this.name = name;
    this.#log = log;
    const [command, prefix] = endingWithParent(binary);
    const output = openSync(log, 'a');
    this.#child = spawn(command, [...prefix, ...args], { stdio: ['ignore', output, output] });
    closeSync(output);
    running.add(this.#child);
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', () => {
        running.delete(this.#child);
        resolve();
      });
    });
    this.#ended.catch(() => undefined); // said by throwWhenEnded
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.name} did not start: ${this.tail()}`);
    return this.#child.pid;
  }

  get alive(): boolean {
    return this.#child.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The last lines that the process wrote. */
  tail(lines = 15): string {
    return readFileSync(this.#log, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  }

  throwWhenEnded(): void {
    if (this.alive) return;
    const end = this.#child.signalCode ?? this.#child.exitCode ?? 'not started';
    throw new Error(`${this.name} ended (${end}); the end of its output:\n${this.tail()}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.throwWhenEnded();
    this.#child.kill(signal);
  }

  /** Sends the signal and waits for the end. A stopped process gets it as well, when it is SIGKILL. */
  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.alive) this.#child.kill(signal);
    await this.ended();
  }

  /** Waits for the end, which somebody else brings about. */
  async ended(): Promise<void> {
    if (this.#child.pid !== undefined) await this.#ended;
  }
}
