import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AdaptletProcess, repositoryRoot } from './process.ts';

export type OperatorOptions = {
  readonly kubeconfig: string;
  readonly namespace: string;
  readonly identity: string;
  readonly settings?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Root of the sources that run, default this repository. */
  readonly tree?: string | undefined;
  /** It ends when this process is killed. */
  readonly endWithUs?: boolean | undefined;
};

/** Addresses of a running operator: `grpc` is host:port, `http` a URL. */
type Ready = {
  readonly grpc: string;
  readonly http: string;
  readonly devices?: string;
  readonly dashboard?: string;
};

/**
 * Registries and web servers of tests are on this machine, which operators and runtimes ask only where they are told so; earlier
 * ones just do.
 */
export const thisMachine = (
  tree: string,
  ...settings: readonly string[]
): Readonly<Record<string, string>> =>
  settings
    .map((file) => join(tree, file))
    .some((file) => existsSync(file) && readFileSync(file, 'utf8').includes('egressAllow'))
    ? { 'egress-allow': '127.0.0.0/8', 'insecure-registries': '127.0.0.1' }
    : {};

/**
 * The environment that the chart gives the process of an operator for its memory, in a container of 1 GiB: of that 40 percent are
 * for its heap. Where memory is measured, it has to run so.
 */
export const operatorMemory = (heapMib = 410) => ({
  NODE_OPTIONS: `--max-old-space-size=${heapMib} --max-semi-space-size=4`,
  MALLOC_MMAP_THRESHOLD_: '65536',
});

/** A real `adaptlet operator` process on free ports. */
export class TestOperator {
  readonly identity: string;
  /** host:port of gRPC. */
  readonly grpc: string;
  readonly http: string;
  /** host:port of gRPC for devices; '' where there are none. */
  readonly devices: string;
  /** URL; '' where none is served. */
  readonly dashboard: string;
  readonly log: readonly string[];
  readonly #process: AdaptletProcess<Ready>;

  private constructor(identity: string, started: AdaptletProcess<Ready>) {
    this.identity = identity;
    this.grpc = started.ready.grpc;
    this.http = started.ready.http;
    this.devices = started.ready.devices ?? '';
    this.dashboard = started.ready.dashboard ?? '';
    this.log = started.log;
    this.#process = started;
  }

  get pid(): number {
    return this.#process.pid;
  }
  get isRunning(): boolean {
    return this.#process.isRunning;
  }

  static async start(options: OperatorOptions): Promise<TestOperator> {
    const { identity, env, tree, endWithUs } = options;
    const settings = {
      kubeconfig: options.kubeconfig,
      namespace: options.namespace,
      identity: options.identity,
      listen: '127.0.0.1:0',
      'http-listen': '127.0.0.1:0',
      'log-level': 'debug',
      ...thisMachine(tree ?? repositoryRoot, 'src/operator/settings.ts'),
      ...options.settings,
    };
    const started = await AdaptletProcess.start<Ready>('operator', { settings, env, tree, endWithUs });
    return new TestOperator(identity, started);
  }

  async metrics(): Promise<string> {
    return (await fetch(`${this.http}/metrics`)).text();
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal);
  }

  /** Sends a signal and waits for the end of the process. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.#process.end(signal);
  }
}
