import {
  createServer,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { Server as NetServer, type Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { AdaptletError, asAdaptletError } from '../../../errors/adaptlet-error.ts';
import { listenOn, openSockets } from '../../../settings/address.ts';
import type { MetricsAccess } from '../../../telemetry/metrics-access.ts';
import { afterWhatCame } from '../after-what-came.ts';
import type { Parts } from '../exchange.ts';
import type { ConnectionLimits } from '../limits.ts';
import { Penalties, type PenaltyCause } from '../penalties.ts';
import { type CertificateFiles, handshakeMs } from '../tls/certificate-files.ts';
import { type AppParts, createHttpApp } from './app.ts';
import { cutCrumbs } from './crumbs.ts';
import { cut } from './deafen.ts';
import { createHealthApp } from './health.ts';
import { lingerBehind, smallBytes } from './linger.ts';
import { OpenConnections } from './open-connections.ts';
import { problemResponse } from './problem.ts';
import { takenBytes, watchReader } from './unread.ts';

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
 * Starts HTTP.
 * @throws CONFIG_INVALID when the address cannot be listened on
 */
export const startHttp = (options: HttpOptions): Promise<RunningHttp> =>
  listenWith(createHttpApp(options), options);

/**
 * Starts a listener that offers health and metrics, and no request.
 * @throws CONFIG_INVALID when the address cannot be listened on
 */
export const startHealth = (
  options: Parts & Listening & { readonly access: MetricsAccess },
): Promise<RunningHttp> => listenWith(createHealthApp(options), options);

/** Milliseconds for the headers of a request, and between two looks for requests that take too long. */
const headersMs = 20_000;
const lookEveryMs = 5_000;

const optionsOf = ({ idleMs, bodyMs }: ConnectionLimits): ServerOptions => ({
  maxHeaderSize: 64 << 10,
  // Who reads a body says that it is late (body.ts). What nobody reads ends by this, behind it.
  requestTimeout: headersMs + bodyMs + lookEveryMs,
  headersTimeout: Math.min(headersMs, bodyMs),
  connectionsCheckingInterval: lookEveryMs,
  // A connection that is closed while somebody sends on it is a request that fails. Node would close it after 5 seconds.
  keepAliveTimeout: idleMs,
});

const serverOf = (
  tls: CertificateFiles | undefined,
  limits: ConnectionLimits,
  listener: RequestListener,
): Server => {
  const options = optionsOf(limits);
  if (tls === undefined) return createServer(options, listener);
  // A client without a certificate may have a key: who it is decides, not the handshake.
  const handshake = {
    requestCert: tls.asksClients,
    rejectUnauthorized: false,
    handshakeTimeout: handshakeMs,
  };
  // Without a certificate no handshake comes about.
  const server = createTlsServer({ ...options, ...handshake, ...tls.context }, listener);
  server.once(
    'close',
    tls.onChange((context) => server.setSecureContext(context)),
  );
  return server;
};

/** An answer that is all there and that its reader does not go on reading ends with its connection: it would stay in memory. */
const endUnread = (res: ServerResponse, { clock, log }: Pick<Parts, 'clock' | 'log'>): void => {
  res.once('prefinish', () => {
    const { socket } = res;
    if (socket === null || socket.writableLength === 0) return;
    const tooSlow = (): void => {
      log.debug({ bytes: socket.writableLength }, 'a client did not read its answer');
      res.destroy();
    };
    res.once(
      'close',
      watchReader(clock, () => takenBytes(socket), tooSlow),
    );
  });
};

/** Has connections of a server begin when it is their turn. */
const admitBy = (penalties: Penalties, server: Server): void => {
  const listeners = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) =>
    penalties.admit(socket, () => {
      for (const listener of listeners) listener.call(server, socket);
    }),
  );
};

const listenWith = async (app: Hono, options: Parts & Listening): Promise<RunningHttp> => {
  // Globals stay Node's own: a library must not replace Request and Response for the whole process.
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    // It would read for half a second what is left of a request that is refused (linger.ts).
    autoCleanupIncoming: false,
    // What it refuses itself, as a host that is none, comes to no handler: it would keep the connection, and read what is left.
    errorHandler: (error) => {
      const isTheirs = error instanceof Error && error.name === 'RequestError';
      const answer = problemResponse(
        isTheirs
          ? new AdaptletError('REQUEST_INVALID', `this is no request of HTTP: ${error.message}`)
          : asAdaptletError(error, 'a request of HTTP'),
      );
      answer.headers.set('connection', 'close');
      return answer;
    },
  });
  let closing = false;
  const penalties = new Penalties(options, 'http');
  const endFor = (cause: PenaltyCause) => (socket: Socket) => {
    penalties.charge(socket.remoteAddress, cause);
    cut(socket);
  };
  const connections = new OpenConnections(endFor('pipelined'));
  const noteLeave = ({ remoteAddress }: Socket, res: ServerResponse): void => {
    const began = options.clock.monotonic();
    res.once('close', () => {
      if (!res.writableFinished) penalties.left(remoteAddress, options.clock.monotonic() - began);
    });
  };
  const take: RequestListener = (req, res) => {
    if (!connections.isWithin(req.socket, res)) return;
    cutCrumbs(req, endFor('chunks'));
    endUnread(res, options);
    const before = req.socket.bytesRead;
    res.once('prefinish', () => {
      // Of a client that left nobody reads the answer.
      if (req.complete || req.socket.destroyed) return;
      // Behind its end a connection has no address.
      const { remoteAddress } = req.socket;
      const charge = (): void => penalties.charge(remoteAddress, 'unfinished');
      const bytes = Math.max(Number(req.headers['content-length'] ?? 0), req.socket.bytesRead - before);
      const isLarge = bytes > smallBytes;
      if (isLarge) charge();
      lingerBehind(req.socket, options.clock, isLarge ? () => undefined : charge);
    });
    // A connection that is kept alive would keep the server open after its last answer.
    res.once('close', () => {
      if (closing) setImmediate(() => connections.endIdle());
    });
    afterWhatCame(() => {
      if (req.destroyed || req.socket.destroyed) return;
      noteLeave(req.socket, res);
      listener(req, res).catch((error: unknown) =>
        options.log.warn({ err: error }, 'http connection failed'),
      );
    });
  };
  const server = serverOf(options.tls, options.limits, take);
  // Node would answer what a client expects and nobody knows by itself, past all of this. A server may let it be (RFC 9110).
  server.on('checkExpectation', take);
  admitBy(penalties, server);
  server.maxConnections = options.limits.maxConnections;
  // The next one gets in: each that is refused costs one that is not used.
  server.on('drop', () => connections.endLongestIdle());
  const open = openSockets(server);
  const port = await listenOn(server, options.address);
  return {
    port,
    close: (graceMs) =>
      new Promise((resolve) => {
        closing = true;
        penalties.close();
        const stopTimer = options.clock.after(graceMs, () => {
          for (const socket of open) socket.destroy();
        });
        // The close of HTTP would cut answers on their way; it ends timers.
        NetServer.prototype.close.call(server, () => {
          stopTimer();
          server.close();
          resolve();
        });
        connections.endIdle();
      }),
  };
};
