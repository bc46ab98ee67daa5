import { once } from 'node:events';
import type { Http2Session, ServerHttp2Stream } from 'node:http2';
import { createServer, type Socket } from 'node:net';
import type { Server, ServerCredentials } from '@grpc/grpc-js';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { listenOn } from '../../../settings/address.ts';
import type { Clock } from '../../../time/clock.ts';
import { afterWhatCame } from '../after-what-came.ts';

export type Listening = {
  readonly port: number;
  /** Takes no new connection. */
  stop(): void;
  /**
   * Resolves when no connection is left; those that are there after `graceMs` are ended. grpc-js waits for none of them: Node tells it that
   * a session is closed while answers are on their way.
   */
  end(graceMs: number): Promise<void>;
};

/** Streams of a connection that may be open at the same time: clients learn it as they connect. */
export const maxStreams = 256;

/**
 * Streams that came on each connection and did not begin yet. One that begins makes up for one that its client reset before. More than may be
 * open at a time are resets and nothing else, and their connection ends while they are read: what comes behind costs little.
 */
class Unbegun {
  readonly #streams = new WeakMap<Http2Session, number>();

  /** False: the connection is over. */
  came(session: Http2Session): boolean {
    const streams = (this.#streams.get(session) ?? 0) + 1;
    this.#streams.set(session, streams);
    if (streams > maxStreams) session.destroy();
    return streams <= maxStreams;
  }

  began(session: Http2Session): void {
    this.#streams.set(session, Math.max(0, (this.#streams.get(session) ?? 0) - 2));
  }
}

/**
 * Lets calls begin when what came behind them is read: one that its client reset at once costs its stream and nothing of grpc-js, which
 * would make all of a call first. grpc-js shows its HTTP/2 server to nobody.
 */
const skipReset = (server: Server): void => {
  const unbegun = new Unbegun();
  const create = server['createHttp2Server'].bind(server);
  server['createHttp2Server'] = (credentials: ServerCredentials) => {
    const http2 = create(credentials);
    const listeners = http2.listeners('stream');
    if (listeners.length === 0) throw new AdaptletError('INTERNAL', 'grpc-js listens to no streams');
    http2.removeAllListeners('stream');
    http2.on('stream', (stream: ServerHttp2Stream, ...rest: unknown[]) => {
      // A stream that breaks before anybody listens must not end the process.
      stream.on('error', () => undefined);
      const { session } = stream;
      if (session === undefined || !unbegun.came(session)) return;
      afterWhatCame(() => {
        if (stream.destroyed) return;
        unbegun.began(session);
        for (const listener of listeners) listener.call(http2, stream, ...rest);
      });
    });
    return http2;
  };
};

/**
 * Gives a server the connections of a listener of our own, `most` at the same time: where grpc-js listens itself it knows no limit. One
 * more is closed at once.
 * @throws CONFIG_INVALID when the address cannot be listened on
 */
export const listenWithin = async (
  server: Server,
  options: {
    readonly address: string;
    readonly credentials: ServerCredentials;
    readonly most: number;
    readonly clock: Clock;
  },
): Promise<Listening> => {
  skipReset(server);
  const injector = server.createConnectionInjector(options.credentials);
  const open = new Set<Socket>();
  const listener = createServer((socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    injector.injectConnection(socket);
  });
  listener.maxConnections = options.most;
  const port = await listenOn(listener, options.address);
  const closed = once(listener, 'close');
  return {
    port,
    stop: () => void listener.close(),
    async end(graceMs) {
      const stopTimer = options.clock.after(graceMs, () => {
        // Also those that never became HTTP/2.
        for (const socket of open) socket.destroy();
      });
      await closed;
      stopTimer();
    },
  };
};
