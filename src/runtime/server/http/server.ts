import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { listenOn } from '../../../settings/address.ts';
import type { Parts } from '../exchange.ts';
import type { CertificateFiles } from '../tls/certificate-files.ts';
import { type AppParts, createHttpApp } from './app.ts';
import { createHealthApp } from './health.ts';

type Listening = {
  /** `host:port`; port 0 for any free one. IPv6 hosts in brackets. */
  readonly address: string;
  /** Absent: no TLS. */
  readonly tls?: CertificateFiles | undefined;
};

export type HttpOptions = AppParts & Listening;

export type RunningHttp = {
  readonly port: number;
  /** Ends new requests at once, waits for those under way for at most `graceMs`, then cuts them. */
  close(graceMs: number): Promise<void>;
};

/**
 * A connection that is closed while somebody sends on it is a request that fails. So clients and gateways close those that
 * nobody uses: they do after 60 to 90 seconds, and Node would after 5.
 */
const keepAliveTimeout = 120_000;

/**
 * Starts HTTP.
 * @throws CONFIG_INVALID when the address cannot be listened on
 */
export const startHttp = (options: HttpOptions): Promise<RunningHttp> =>
  listenWith(createHttpApp(options), options);

/**
 * Starts a listener that offers health and metrics, and no request.
 * @throws CONFIG_INVALID when the address cannot be listened on
 */
export const startHealth = (options: Parts & Listening): Promise<RunningHttp> =>
  listenWith(createHealthApp(options), options);

const limits = {
  maxHeaderSize: 64 << 10,
  requestTimeout: 60_000,
  headersTimeout: 20_000,
  keepAliveTimeout,
};

const serverOf = (tls: CertificateFiles | undefined, listener: RequestListener): Server => {
  if (tls === undefined) return createServer(limits, listener);
  // A client without a certificate may have a key: who it is decides, not the handshake.
  const handshake = { requestCert: tls.asksClients, rejectUnauthorized: false, handshakeTimeout: 10_000 };
  const server = createTlsServer({ ...limits, ...handshake, ...tls.context }, listener);
  server.once(
    'close',
    tls.onChange((context) => server.setSecureContext(context)),
  );
  return server;
};

const listenWith = async (app: Hono, options: Parts & Listening): Promise<RunningHttp> => {
  // Globals stay Node's own: a library must not replace Request and Response for the whole process.
  const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false });
  let closing = false;
  const server = serverOf(options.tls, (req, res) => {
    // A connection that is kept alive would keep the server open after its last answer.
    res.once('close', () => {
      if (closing) setImmediate(() => server.closeIdleConnections());
    });
    listener(req, res).catch((error: unknown) => options.log.warn({ err: error }, 'http connection failed'));
  });
  const port = await listenOn(server, options.address);
  return {
    port,
    close: (graceMs) =>
      new Promise((resolve) => {
        closing = true;
        const stopTimer = options.clock.after(graceMs, () => server.closeAllConnections());
        server.close(() => {
          stopTimer();
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
};
