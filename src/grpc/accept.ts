import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { createServer, type Server as Listener, type Socket } from 'node:net';
import type { Server, ServerCredentials } from '@grpc/grpc-js';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import type { Clock } from '../time/clock.ts';
import { type OfCompressed, type Refusing, refusesCompressed } from './compressed.ts';

/** Connections of a server, by a listener of our own. */
export type Accepting = {
  /** It does not listen yet. */
  readonly listener: Listener;
  /**
   * Takes no new connection, and resolves when none is left; those that are there after `graceMs` are ended. grpc-js waits for none of
   * them: Node tells it that a session is closed while answers are on their way.
   */
  readonly end: (graceMs: number) => Promise<void>;
};

/** Calls `begin` when the call of a stream may begin. */
export type AdmitStream = (stream: ServerHttp2Stream, begin: () => void) => void;

/** Has `admit` decide on each stream before grpc-js makes a call of it; grpc-js shows its HTTP/2 server to nobody. Calls with compressed messages are refused. */
const admitStreams = (server: Server, admit: AdmitStream, refusing: Refusing): void => {
  const create = server['createHttp2Server'].bind(server);
  server['createHttp2Server'] = (credentials: ServerCredentials) => {
    const http2 = create(credentials);
    const listeners = http2.listeners('stream');
    if (listeners.length === 0) throw new AdaptletError('INTERNAL', 'grpc-js listens to no streams');
    http2.removeAllListeners('stream');
    http2.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, ...rest: unknown[]) => {
      // A stream that breaks before anybody listens must not end the process.
      stream.on('error', () => undefined);
      admit(stream, () => {
        if (stream.destroyed || refusesCompressed(stream, headers, refusing)) return;
        for (const listener of listeners) listener.call(http2, stream, headers, ...rest);
      });
    });
    return http2;
  };
};

/**
 * Gives a server the connections of a listener of our own: where grpc-js listens itself, it takes as many as come, and shows them to nobody.
 * `admit` calls `begin` when a connection may begin; until then nothing of it is read.
 */
export const acceptFor = (
  server: Server,
  options: {
    readonly credentials: ServerCredentials;
    readonly clock: Pick<Clock, 'after'>;
    readonly admit: (socket: Socket, begin: () => void) => void;
    /** Default: all may begin at once. */
    readonly admitStream?: AdmitStream;
    /** Calls with compressed messages, which are refused. */
    readonly compressed?: OfCompressed;
  },
): Accepting => {
  const { clock, admitStream = (_, begin) => begin(), compressed: told } = options;
  admitStreams(server, admitStream, { clock, told });
  const injector = server.createConnectionInjector(options.credentials);
  const open = new Set<Socket>();
  // Nothing of one that waits is read: Node hands HTTP/2 all of what was, whatever becomes of the connection meanwhile.
  const listener = createServer({ pauseOnConnect: true }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    options.admit(socket, () => {
      injector.injectConnection(socket);
      socket.resume();
    });
  });
  return {
    listener,
    end: async (graceMs) => {
      const stopTimer = options.clock.after(graceMs, () => {
        // Also those that never became HTTP/2.
        for (const socket of open) socket.destroy();
      });
      // Also of one that never listened.
      await new Promise<void>((resolve) => listener.close(() => resolve()));
      stopTimer();
    },
  };
};
