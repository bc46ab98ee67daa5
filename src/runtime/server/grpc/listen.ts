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
 * How many streams of a connection may come and not begin: as many as may be open at first, `perMs` more as time passes, and `most` at once, which
 * is what nghttp2 takes of resets. Behind a stall of ours all are read together that came meanwhile, and those whose deadlines passed are reset.
 */
const resets = { perMs: 0.5, most: 1000 } as const;

/**
 * Streams that came on each connection and did not begin yet, less those that time allows. One that begins makes up for one that its client
 * reset before. More are resets and nothing else, and their connection ends while they are read: what comes behind costs little.
 */
class Unbegun {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #seen = new WeakMap<Http2Session, { streams: number; at: number }>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** False: the connection is over. */
  came(session: Http2Session): boolean {
    const now = this.#clock.monotonic();
    const { streams, at } = this.#seen.get(session) ?? { streams: 0, at: now };
    const left = Math.max(maxStreams - resets.most, streams - (now - at) * resets.perMs) + 1;
    this.#seen.set(session, { streams: left, at: now });
    if (left > maxStreams) session.destroy();
    return left <= maxStreams;
  }

  began(session: Http2Session): void {
    const seen = this.#seen.get(session);
    if (seen !== undefined) seen.streams = Math.max(Math.min(0, seen.streams - 1), seen.streams - 2);
  }
}

/**
 * Lets calls begin when what came behind them is read: one that its client reset at once costs its stream and nothing of grpc-js, which
 * would make all of a call first. grpc-js shows its HTTP/2 server to nobody.
 */
const skipReset = (server: Server, clock: Clock): void => {
  const unbegun = new Unbegun(clock);
  // Node takes no more streams in a turn than may be open, and would end the connection with the hundredth that is one too many.
  server['commonServerOptions'].maxSessionRejectedStreams = resets.most;
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
  skipReset(server, options.clock);
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
