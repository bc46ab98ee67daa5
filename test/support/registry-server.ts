import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FakeRegistry } from '../../src/artifact/fake-registry.ts';

/** What a {@link FakeRegistry} has, on a port of this machine: for processes that shall be told something wrong. */
export class RegistryServer implements AsyncDisposable {
  readonly host: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(registry: Pick<FakeRegistry, 'answer' | 'isUp'>): Promise<RegistryServer> {
    const server = createServer((request, response) => {
      void (async () => {
        if (!registry.isUp) {
          request.socket.resetAndDestroy();
          return;
        }
        const { pathname } = new URL(request.url ?? '/', 'http://registry');
        const answer = registry.answer(pathname, new Headers(request.headers as Record<string, string>));
        const bytes = Buffer.from(await answer.arrayBuffer());
        const headers = { ...Object.fromEntries(answer.headers), 'content-length': bytes.length };
        response.writeHead(answer.status, headers).end(bytes);
      })();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new RegistryServer(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
