import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { tool } from '../tools/build.ts';
import { type RegistryProcess, startRegistry } from '../tools/registry-process.ts';
import { tiny } from './node.ts';

const run = promisify(execFile);
const [registryTool, oras] = [await tool('registry'), await tool('oras')];

/** False where go is not installed: the registry and oras cannot be built. */
export const hasRegistry = registryTool !== undefined && oras !== undefined;

/** A real registry, behind a door that notes what is read from it and that a test can close. */
export class TestRegistry implements AsyncDisposable {
  /** What clients name in an image: host:port of the door. */
  readonly host: string;
  /** Path of each GET that came through the door. */
  readonly reads: string[];
  /** False: as a registry from before distribution 1.1, clients keep referrers under a tag. */
  hasReferrersApi = true;
  readonly #registry: RegistryProcess;
  readonly #door: Server;
  #isOpen = true;

  private constructor(registry: RegistryProcess, door: Server, reads: string[]) {
    this.#registry = registry;
    this.#door = door;
    this.reads = reads;
    this.host = `127.0.0.1:${(door.address() as AddressInfo).port}`;
    door.on('connection', (socket) => {
      if (!this.#isOpen) socket.resetAndDestroy();
    });
  }

  static async start(): Promise<TestRegistry> {
    const registry = await startRegistry(registryTool ?? '');
    const reads: string[] = [];
    const door = createServer((incoming, outgoing) => {
      const { url: path = '/', headers, method } = incoming;
      if (method === 'GET') reads.push(path);
      if (!started.hasReferrersApi && path.includes('/referrers/')) {
        outgoing.writeHead(404).end();
        return;
      }
      const onward = request(`http://${registry.host}${path}`, { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      onward.on('error', (error) => outgoing.destroy(error));
      incoming.pipe(onward);
    });
    door.listen(0, '127.0.0.1');
    await once(door, 'listening');
    const started = new TestRegistry(registry, door, reads);
    return started;
  }

  /**
   * Pushes an adapter of the tiny model past the door; gives its digest. `image`: repository:tag. `note`: an annotation,
   * with which it is another artifact than without.
   */
  async push(image: string, adapter: string, note?: string): Promise<string> {
    const files = ['adapter_config.json', 'adapter_model.safetensors'];
    const annotation = note === undefined ? [] : ['--annotation', `note=${note}`];
    const args = ['push', '--plain-http', ...annotation, `${this.#registry.host}/${image}`, ...files];
    const { stdout } = await run(oras ?? '', args, { cwd: join(tiny.adapters, adapter) });
    const digest = /Digest: (sha256:[0-9a-f]{64})/.exec(stdout)?.[1];
    if (digest === undefined) throw new Error(`oras said no digest: ${stdout}`);
    return digest;
  }

  /** From here on connections are reset. */
  shut(): void {
    this.#isOpen = false;
    this.#door.closeAllConnections();
  }
  open(): void {
    this.#isOpen = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#door.closeAllConnections();
    this.#door.close();
    await this.#registry[Symbol.asyncDispose]();
  }
}
