import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { repositoryRoot } from './node.ts';

export type OperatorOptions = {
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly identity: string;
  readonly settings?: Readonly<Record<string, string>>;
};

/** A real `adaptlet operator` process on free ports. */
export class TestOperator {
  readonly identity: string;
  /** host:port of gRPC. */
  readonly grpc: string;
  readonly http: string;
  readonly log: string[];
  readonly #child: ChildProcess;

  private constructor(
    identity: string,
    child: ChildProcess,
    ready: { grpc: string; http: string },
    log: string[],
  ) {
    this.identity = identity;
    this.#child = child;
    this.grpc = ready.grpc;
    this.http = ready.http;
    this.log = log;
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }
  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  static async start(options: OperatorOptions): Promise<TestOperator> {
    const settings = {
      kubeconfig: options.kubeconfig,
      namespace: options.namespace,
      identity: options.identity,
      listen: '127.0.0.1:0',
      'http-listen': '127.0.0.1:0',
      'log-level': 'debug',
      ...options.settings,
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    const child = spawn(join(repositoryRoot, 'bin/adaptlet'), ['operator', ...flags], {
      env: process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.push(line);
      if (log.length > 20_000) log.shift();
    });
    const ready = await new Promise<{ grpc: string; http: string }>((resolve, reject) => {
      createInterface({ input: child.stdout }).once('line', (line) =>
        resolve(JSON.parse(line) as typeof ready),
      );
      child.once('error', reject);
      child.once('exit', (code, signal) =>
        reject(new Error(`operator ended (${code ?? signal}):\n${log.slice(-20).join('\n')}`)),
      );
    });
    return new TestOperator(options.identity, child, ready, log);
  }

  async metrics(): Promise<string> {
    return (await fetch(`${this.http}/metrics`)).text();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends a signal and waits for the end of the process. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.isRunning) return;
    const exit = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill(signal);
    await exit;
  }
}
