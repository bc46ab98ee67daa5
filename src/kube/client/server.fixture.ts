import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { systemClock } from '../../time/clock.ts';
import type { FakeClock } from '../../time/fake-clock.ts';
import { connectKube, type KubeLimits } from './client.ts';

export type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

export const serve = async (handler: Handler) => {
  const requests: IncomingMessage[] = [];
  const sockets = new Set<unknown>();
  const server = createServer((request, response) => {
    requests.push(request);
    sockets.add(request.socket);
    void handler(request, response);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests, sockets, server };
};

export const kubeconfig = (url: string, user: object = { token: 'secret' }, cluster: object = {}): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: url, 'insecure-skip-tls-verify': true, ...cluster } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });

export const connect = async (
  url: string,
  user?: object,
  options: { clock?: FakeClock; limits?: Partial<KubeLimits>; cluster?: object } = {},
) => {
  const path = join(folderOfTest(), 'kubeconfig');
  await writeFile(path, kubeconfig(url, user, options.cluster));
  const api = connectKube({
    kubeconfig: path,
    clock: options.clock ?? systemClock,
    logger: pino({ level: 'silent' }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  });
  onTestFinished(api.close);
  return { api, path };
};

export const answering = async (handler: Handler, options?: Parameters<typeof connect>[2]) => {
  const served = await serve(handler);
  return { ...served, ...(await connect(served.url, undefined, options)) };
};

export const json = (
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
};

export const get = { method: 'GET', path: '/api/v1/things/a' } as const;
