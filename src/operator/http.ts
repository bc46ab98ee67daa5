import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listenOn } from '../settings/address.ts';
import type { MetricsAccess } from '../telemetry/metrics-access.ts';
import { systemClock } from '../time/clock.ts';
import { StrangerConnections } from './ports/stranger-connections.ts';

/** Probes and scrapes take a few. */
const maxConnections = 256;

export type HttpPages = {
  /** Prometheus' text format; undefined while there are none. */
  readonly metrics: () => string | undefined;
  /** Why this process has to be replaced by a new one; undefined when that would help nobody. */
  readonly lost: () => string | undefined;
  /** Whether runtimes may be served. */
  readonly ready: () => { readonly ok: boolean; readonly reason: string };
  /** Who may read the metrics. */
  readonly access: MetricsAccess;
};

export type RunningHttp = {
  readonly port: number;
  /** Connections that were ended because there were too many. */
  readonly ended: () => number;
};

const answer = (
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void => {
  response
    .writeHead(status, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8', ...headers })
    .end(text);
};

const answerMetrics = async (
  { metrics, access }: HttpPages,
  { socket, headers }: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const { authorization = '' } = headers;
  const verdict = await access({ address: socket.remoteAddress ?? '', authorization });
  if (verdict.status !== 200) return answer(response, verdict.status, verdict.message, verdict.headers);
  const text = metrics();
  answer(response, text === undefined ? 503 : 200, text ?? 'there are no metrics yet\n');
};

/**
 * /metrics, /livez and /readyz of a replica. The stack closes it.
 * @throws CONFIG_INVALID
 */
export const startHttp = async (
  address: string,
  pages: HttpPages,
  stack: AsyncDisposableStack,
): Promise<RunningHttp> => {
  const strangers = new StrangerConnections({ clock: systemClock, most: maxConnections, expire: false });
  const server = createServer(
    { maxHeaderSize: 16 << 10, requestTimeout: 10_000, connectionsCheckingInterval: 2_000 },
    (request, response) => {
      response.once('close', strangers.answers(request.socket));
      switch (request.url?.split('?')[0] ?? '') {
        case '/metrics':
          return void answerMetrics(pages, request, response);
        case '/livez': {
          const reason = pages.lost();
          return answer(response, reason === undefined ? 200 : 503, `${reason ?? 'ok'}\n`);
        }
        case '/readyz': {
          const { ok, reason } = pages.ready();
          return answer(response, ok ? 200 : 503, ok ? 'ok\n' : `${reason}\n`);
        }
        default:
          return answer(response, 404, 'there is /metrics, /livez and /readyz\n');
      }
    },
  );
  strangers.guard(server);
  const port = await listenOn(server, address);
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port, ended: () => strangers.ended };
};
