import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { FakeWeb } from '../../src/artifact/fake-web.ts';
import { makeCertificates } from '../cluster/certificates.ts';

/** Real servers with TLS on ports of this machine, each with what a {@link FakeWeb} has at its address. */
export class WebServers implements AsyncDisposable {
  /** The authority that signed their certificates: a PEM file. */
  readonly authority: string;
  readonly #servers: Server[] = [];
  readonly #web: FakeWeb;
  readonly #tls: { readonly key: Buffer; readonly cert: Buffer };

  private constructor(web: FakeWeb, authority: string, tls: { readonly key: Buffer; readonly cert: Buffer }) {
    this.#web = web;
    this.authority = authority;
    this.#tls = tls;
  }

  /** `folder`: for their certificates. */
  static async start(web: FakeWeb, folder: string): Promise<WebServers> {
    await makeCertificates(folder);
    const read = (name: string): Promise<Buffer> => readFile(join(folder, name));
    const [key, cert] = await Promise.all([read('apiserver.key'), read('apiserver.crt')]);
    return new WebServers(web, join(folder, 'ca.crt'), { key, cert });
  }

  /** One more server; gives its origin. */
  async listen(): Promise<string> {
    let origin = '';
    const server = createServer(this.#tls, (request, response) => {
      void (async () => {
        const headers = new Headers(request.headers as Record<string, string>);
        const answer = await this.#web.fetch(`${origin}${request.url}`, { headers });
        response.writeHead(answer.status, Object.fromEntries(answer.headers));
        try {
          for await (const chunk of answer.body ?? []) response.write(chunk);
          response.end();
        } catch {
          response.destroy();
        }
      })();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.#servers.push(server);
    origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return origin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }
}
