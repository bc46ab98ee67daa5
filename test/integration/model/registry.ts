import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { adaptlet } from '../../support/cli.ts';
import { tiny } from '../../support/node.ts';
import { connectTo, startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.ts';
import { tool } from '../../tools/build.ts';
import { type RegistryAuth, type RegistryProcess, startRegistry } from '../../tools/registry-process.ts';

const [registryTool, orasTool] = [await tool('registry'), await tool('oras')];
export const oras = orasTool ?? '';
/** False where go is not installed: the registry and oras cannot be built. */
export const hasRegistry = registryTool !== undefined && orasTool !== undefined;

/** Bytes that make the tiny model one that takes a while. */
export const fillerBytes = 6 << 20;

/**
 * A real registry behind two doors: one that changes bytes on demand, and before it a network that can be slow, broken
 * or away.
 */
export class ModelRegistry implements AsyncDisposable {
  /** Of the registry itself: what is pushed goes past the doors. */
  readonly registry: RegistryProcess;
  readonly network: TcpProxy;
  readonly folder: string;
  /** Paths of blobs that were asked for. */
  readonly blobs: string[] = [];
  /** Bytes of bodies that clients sent through the doors. */
  uploads = 0;
  /** The network is cut, once, when more than this was sent. */
  cutsUploadAt = Number.POSITIVE_INFINITY;
  /** Blobs larger than a mebibyte come with a flipped bit. */
  corrupts = false;
  readonly #door: Server;

  private constructor(registry: RegistryProcess, door: Server, network: TcpProxy, folder: string) {
    this.registry = registry;
    this.network = network;
    this.folder = folder;
    this.#door = door;
  }

  static async start(auth?: RegistryAuth): Promise<ModelRegistry> {
    const folder = await mkdtemp(join(tmpdir(), 'adaptlet-models-'));
    const registry = await startRegistry(registryTool ?? '', auth === undefined ? {} : { auth });
    const door = createServer((incoming, outgoing) => {
      const { url: path = '/', headers, method } = incoming;
      if (method === 'GET' && path.includes('/blobs/')) started.blobs.push(path);
      const onward = request(`http://${registry.host}${path}`, { method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        const flips = started.corrupts && Number(answer.headers['content-length'] ?? 0) > 1 << 20;
        if (flips) {
          answer.once('data', (chunk: Buffer) => {
            chunk[0] = (chunk[0] ?? 0) ^ 1;
          });
        }
        answer.pipe(outgoing);
        answer.on('error', () => outgoing.destroy());
      });
      onward.on('error', () => outgoing.destroy());
      outgoing.on('close', () => onward.destroy());
      incoming.on('data', (chunk: Buffer) => {
        started.uploads += chunk.length;
        if (started.uploads <= started.cutsUploadAt) return;
        started.cutsUploadAt = Number.POSITIVE_INFINITY;
        network.cut();
      });
      incoming.pipe(onward);
    });
    door.listen(0, '127.0.0.1');
    await once(door, 'listening');
    const { port } = door.address() as AddressInfo;
    const network = await startTcpProxy(() => connectTo(port));
    const started: ModelRegistry = new ModelRegistry(registry, door, network, folder);
    return started;
  }

  /** What runtimes name: host:port of the network. */
  get host(): string {
    return `127.0.0.1:${this.network.port}`;
  }

  /** A folder with the tiny model, and with a file beside it that makes it large. */
  async largeModel(name: string): Promise<string> {
    const folder = join(this.folder, name);
    await cp(join(tiny.model, '..'), folder, { recursive: true });
    await writeFile(join(folder, 'onnx-fp32/filler.txt'), randomBytes(fillerBytes));
    return join(folder, 'onnx-fp32');
  }

  /** Pushes a folder with `adaptlet model push`; gives the digest. `name`: repository:tag. */
  async push(folder: string, name: string): Promise<string> {
    const pushed = await adaptlet('model', 'push', folder, `${this.registry.host}/${name}`, '-o', 'json');
    if (pushed.code !== 0) throw new Error(pushed.stderr);
    const { digest } = JSON.parse(pushed.stdout) as { readonly digest: string };
    return digest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.network[Symbol.asyncDispose]();
    this.#door.closeAllConnections();
    this.#door.close();
    await this.registry[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}
