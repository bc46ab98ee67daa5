import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A web server that fails, and quotes the credential that it was asked with. */
export const startQuotingServer = async (): Promise<
  AsyncDisposable & { readonly url: string; readonly asked: string[] }
> => {
  const asked: string[] = [];
  const server = createServer(({ headers: { authorization = '' } }, response) => {
    asked.push(authorization);
    response.writeHead(500).end(`you sent ${authorization}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
