import { join } from 'node:path';
import type { ProgramOptions } from '../../support/program.ts';
import { waitFor } from '../../support/wait.ts';
import { tool } from '../../tools/build.ts';
import type { RegistryAuth } from '../../tools/registry-process.ts';
import { LoggedProcess } from '../process.ts';
import { registryHost } from './addresses.ts';
import type { Network } from './network.ts';

export type RegistryOptions = {
  /** Open to all without it. */
  readonly auth?: RegistryAuth;
  /** Default: true, with a certificate of the cluster's authority, which the nodes' containerd trusts. */
  readonly tls?: boolean;
};

type Tools = { readonly registry: string; readonly oras: string };

const tools = async (): Promise<Tools> => {
  const [registry, oras] = await Promise.all([tool('registry'), tool('oras')]);
  if (registry === undefined || oras === undefined) {
    throw new Error('no registry for the lab: install go (1.26 or newer) so that it can be built');
  }
  return { registry, oras };
};

/** An OCI registry in the fabric. */
export class LabRegistry implements AsyncDisposable {
  /** What images and adapters are named by, in the whole lab: host and port. */
  readonly host = registryHost;
  readonly auth: RegistryAuth | undefined;
  /** Path of the authority of its certificate; undefined when it speaks plain HTTP. */
  readonly caFile: string | undefined;
  readonly #network: Network;
  readonly #process: LoggedProcess;
  readonly #oras: string;

  private constructor(
    process: LoggedProcess,
    oras: string,
    network: Network,
    options: RegistryOptions,
    pki: string,
  ) {
    this.#process = process;
    this.#oras = oras;
    this.#network = network;
    this.auth = options.auth;
    this.caFile = options.tls === false ? undefined : join(pki, 'ca.crt');
  }

  /** `pki`: the folder with `registry.crt`. */
  static async start(
    network: Network,
    folder: string,
    pki: string,
    options: RegistryOptions,
  ): Promise<LabRegistry> {
    const { registry, oras } = await tools();
    const { auth, tls = true } = options;
    const [command, args] = network.commandOf([
      registry,
      '-addr',
      registryHost,
      ...(auth === undefined ? [] : ['-auth', auth.kind, '-user', auth.user, '-password', auth.password]),
      ...(tls ? ['-cert', join(pki, 'registry.crt'), '-key', join(pki, 'registry.key')] : []),
    ]);
    const process = new LoggedProcess('registry', command, args, join(folder, 'registry.log'));
    await waitFor('the registry to listen', () => {
      process.throwWhenEnded();
      return process.tail(1) === registryHost;
    });
    return new LabRegistry(process, oras, network, options, pki);
  }

  #access(side: '' | 'to-'): string[] {
    const { auth, caFile } = this;
    return [
      ...(caFile === undefined ? [`--${side}plain-http`] : [`--${side}ca-file`, caFile]),
      ...(auth === undefined ? [] : [`--${side}username`, auth.user, `--${side}password`, auth.password]),
    ];
  }

  /** Runs oras in the fabric: a command, and what follows its options of access. */
  async oras(command: string, args: readonly string[], options?: ProgramOptions): Promise<string> {
    return this.#network.runOk([this.#oras, command, ...this.#access(''), ...args], options);
  }

  /**
   * Pushes files of `folder` as one artifact; gives its digest.
   * @param image repository:tag
   */
  async push(image: string, folder: string, files: readonly string[]): Promise<string> {
    const said = await this.oras('push', [`${this.host}/${image}`, ...files], { cwd: folder });
    const digest = /Digest: (sha256:[0-9a-f]{64})/.exec(said)?.[1];
    if (digest === undefined) throw new Error(`oras said no digest: ${said}`);
    return digest;
  }

  /**
   * Pushes an image of an OCI archive.
   * @param tag its name in the archive
   * @param image repository:tag
   */
  async pushImage(archive: string, tag: string, image: string): Promise<void> {
    const source = ['--from-oci-layout-path', archive, tag];
    const command = [this.#oras, 'cp', ...this.#access('to-'), ...source, `${this.host}/${image}`];
    // The registry reads one body at a time, and bodies of one HTTP/2 connection wait for each other: for ever.
    await this.#network.runOk(command, { env: { GODEBUG: 'http2client=0' } });
  }

  /** From here on it takes connections and answers none. */
  pause(): void {
    process.kill(this.#process.pid, 'SIGSTOP');
  }
  resume(): void {
    process.kill(this.#process.pid, 'SIGCONT');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process.end();
  }
}
