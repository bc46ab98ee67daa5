import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { tool } from '../tools/build.ts';
import { type RegistryAuth, type RegistryProcess, startRegistry } from '../tools/registry-process.ts';
import { tiny } from './node.ts';

const run = promisify(execFile);

/** A request that came through the door; `authorization`: '' for none. */
type Seen = { readonly path: string; readonly authorization: string };

/** A real registry that wants a login, behind a door that notes what it is asked with. */
export class ClosedRegistry implements AsyncDisposable {
  /** What clients name in an image: host:port of the door. */
  readonly host: string;
  readonly seen: readonly Seen[];
  /** Tokens that it takes no more; they are told as nobody's. */
  readonly revoked: Set<string>;
  readonly #auth: RegistryAuth;
  readonly #registry: RegistryProcess;
  readonly #door: Server;

  private constructor(
    own: Pick<ClosedRegistry, 'seen' | 'revoked'>,
    registry: RegistryProcess,
    door: Server,
    auth: RegistryAuth,
  ) {
    this.seen = own.seen;
    this.revoked = own.revoked;
    this.#registry = registry;
    this.#door = door;
    this.#auth = auth;
    this.host = `127.0.0.1:${(door.address() as AddressInfo).port}`;
  }

  static async start(auth: RegistryAuth): Promise<ClosedRegistry> {
    const registry = await startRegistry((await tool('registry')) ?? '', { auth });
    const seen: Seen[] = [];
    const revoked = new Set<string>();
    const door = createServer((incoming, outgoing) => {
      const { url: path = '/', method, headers } = incoming;
      const { authorization = '', ...bare } = headers;
      seen.push({ path, authorization });
      const sent = revoked.has(authorization) ? bare : headers;
      const onward = request(`http://${registry.host}${path}`, { method, headers: sent }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      onward.on('error', (error) => outgoing.destroy(error));
      incoming.pipe(onward);
    });
    door.listen(0, '127.0.0.1');
    await once(door, 'listening');
    return new ClosedRegistry({ seen, revoked }, registry, door, auth);
  }

  /** Values of Authorization that it was asked with, without those of the pushes. */
  get tokens(): string[] {
    const reads = this.seen.filter(
      ({ path }) => path.includes('/manifests/') || path.includes('/blobs/sha256:'),
    );
    return [...new Set(reads.map(({ authorization }) => authorization).filter((text) => text !== ''))];
  }

  /** A Secret with a password for it, as people write it. */
  secret(name: string, namespace: string, password: string): string {
    const auth = Buffer.from(`${this.#auth.user}:${password}`).toString('base64');
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace, labels: { 'adaptlet.io/pull': 'true' } },
      type: 'kubernetes.io/dockerconfigjson',
      stringData: { '.dockerconfigjson': JSON.stringify({ auths: { [this.host]: { auth } } }) },
    });
  }

  /** An Adapter of it that every runtime fetches. `image`: repository:tag. */
  adapter(name: string, namespace: string, image: string, pullSecret: string, digest = ''): string {
    return JSON.stringify({
      apiVersion: 'adaptlet.io/v1alpha1',
      kind: 'Adapter',
      metadata: { name, namespace },
      spec: {
        baseModel: 'tiny',
        source: { oci: { image: `${this.host}/${image}`, pullSecretRef: { name: pullSecret } } },
        preload: { tier: 'Memory' },
        ...(digest === '' ? {} : { digest }),
      },
    });
  }

  /** Pushes an adapter past the door, of the tiny model unless `adapters` has others; gives its digest. `image`: repository:tag. */
  async push(image: string, adapter: string, adapters = tiny.adapters): Promise<string> {
    const { user, password } = this.#auth;
    const login = ['--username', user, '--password', password];
    const cwd = join(adapters, adapter);
    const files = await readdir(cwd);
    const args = ['push', '--plain-http', ...login, `${this.#registry.host}/${image}`, ...files];
    const { stdout } = await run((await tool('oras')) ?? '', args, { cwd });
    const digest = /Digest: (sha256:[0-9a-f]{64})/.exec(stdout)?.[1];
    if (digest === undefined) throw new Error(`oras said no digest: ${stdout}`);
    return digest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#door.closeAllConnections();
    this.#door.close();
    await this.#registry[Symbol.asyncDispose]();
  }
}
