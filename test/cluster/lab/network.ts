import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { type ProgramOptions, type ProgramResult, runProgram } from '../../support/program.ts';
import type { ForwardRequest } from './bridge.ts';

/** A loopback port of the test process that leads to an address of another network. */
export type Forward = {
  /** `127.0.0.1:<port>` */
  readonly host: string;
  readonly port: number;
};

/**
 * A network namespace, as the test process uses it: programs run in it, and addresses of it are reached from outside by a
 * small process that sits in it.
 */
export class Network implements AsyncDisposable {
  readonly #name: string;
  readonly #namespace: string;
  readonly #log: string;
  #bridge: ChildProcess | undefined;

  /** `namespace`: a file such as `/proc/1/ns/net`. `folder`: for the log. */
  constructor(name: string, namespace: string, folder: string) {
    this.#name = name;
    this.#namespace = namespace;
    this.#log = join(folder, `bridge-${name}.log`);
  }

  /** The command, to be run here; everything but the network is that of the test process. */
  commandOf(command: readonly string[]): readonly [string, readonly string[]] {
    return ['nsenter', [`--net=${this.#namespace}`, '--', ...command]];
  }

  /** Runs a client here to its end. */
  run(command: readonly string[], options?: ProgramOptions): Promise<ProgramResult> {
    return runProgram(...this.commandOf(command), options);
  }

  /** The same; throws with the client's words when it fails. */
  async runOk(command: readonly string[], options?: ProgramOptions): Promise<string> {
    const { code, stdout, stderr } = await this.run(command, options);
    if (code !== 0)
      throw new Error(`${command.join(' ')} in ${this.#name} ended with ${code}: ${stderr}${stdout}`);
    return stdout;
  }

  /**
   * Opens a port for the test process: each of its connections is one from here to `host` and `port`. It stays until
   * {@link close}. A connection that is refused here is reset there.
   * @throws the namespace is gone
   */
  async forward(host: string, port: number): Promise<Forward> {
    const bridge = this.#start();
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const own = (server.address() as AddressInfo).port;
    const taken = new Promise<void>((resolve, reject) => {
      const hear = (from: unknown): void => {
        if (from !== own) return;
        bridge.off('message', hear);
        resolve();
      };
      const fail = (): void =>
        reject(new Error(`no bridge in network ${this.#name}: ${readFileSync(this.#log, 'utf8')}`));
      bridge.on('message', hear).once('exit', fail);
      bridge.send({ from: own, host, port } satisfies ForwardRequest, server, (error) => {
        if (error !== null) fail();
      });
    });
    await taken;
    // The bridge has it now, and it alone accepts.
    server.close();
    return { host: `127.0.0.1:${own}`, port: own };
  }

  #start(): ChildProcess {
    if (this.#bridge !== undefined) return this.#bridge;
    const log = openSync(this.#log, 'a');
    const [command, args] = this.commandOf([process.execPath, join(import.meta.dirname, 'bridge.ts')]);
    const bridge = spawn(command, args, { stdio: ['ignore', log, log, 'ipc'] });
    closeSync(log);
    bridge.setMaxListeners(0);
    // A test process that has nothing else to do may end.
    bridge.unref();
    bridge.channel?.unref();
    this.#bridge = bridge;
    return bridge;
  }

  /** Ends all forwards. */
  async close(): Promise<void> {
    const bridge = this.#bridge;
    this.#bridge = undefined;
    if (bridge === undefined || bridge.exitCode !== null || bridge.signalCode !== null) return;
    bridge.ref();
    const exit = once(bridge, 'exit');
    bridge.kill('SIGKILL');
    await exit;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
