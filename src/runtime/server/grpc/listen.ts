import { constants, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import type { Server, ServerCredentials } from '@grpc/grpc-js';
import { type Accepting, type AdmitStream, acceptFor } from '../../../grpc/accept.ts';
import { listenOn } from '../../../settings/address.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Parts } from '../exchange.ts';
import type { Penalties, PenaltyCause } from '../penalties.ts';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { LeftCalls } from './left-calls.ts';
import type { Waste } from './waste.ts';

export type Listening = Pick<Accepting, 'end'> & {
  readonly port: number;
};

/** Streams of a connection that may be open at the same time: clients learn it as they connect. */
export const maxStreams = 256;

/**
 * How many streams of a connection may come and not begin: as many as may be open at first, `perMs` more as time passes, and `most` at once, which
 * is what nghttp2 takes of resets. Behind a stall of ours all are read together that came meanwhile, and those whose deadlines passed are reset.
 */
const resets = { perMs: 0.5, most: 1000 } as const;

/** Ends a connection for what came on it; its client is told to be calmer. */
export const endSession = (session: Http2Session, penalties: Penalties, cause: PenaltyCause): void => {
  if (session.destroyed) return;
  penalties.charge(session.socket.remoteAddress, cause);
  session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  session.destroy();
};

/** Ends a connection for what came on it for nothing; of a gateway's the stream, as others' answers are on it. */
export const endForWaste =
  ({ limits, telemetry }: Pick<Parts, 'limits' | 'telemetry'>, penalties: Penalties) =>
  (session: Http2Session, stream: ServerHttp2Stream): void => {
    if (session.destroyed) return;
    if (limits.isGateway?.(session.socket.remoteAddress) !== true) {
      endSession(session, penalties, 'messages');
      return;
    }
    telemetry.endedStream('messages');
    stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  };

/**
 * Streams that came on each connection and did not begin yet, less those that time allows. One that begins makes up for one that its client
 * reset before. More are resets and nothing else, and their connection ends while they are read: what comes behind costs little.
 */
class Unbegun {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #penalties: Penalties;
  readonly #seen = new WeakMap<Http2Session, { streams: number; at: number }>();

  constructor(clock: Pick<Clock, 'monotonic'>, penalties: Penalties) {
    this.#clock = clock;
    this.#penalties = penalties;
  }

  /** False: the connection is over. */
  came(session: Http2Session): boolean {
    const now = this.#clock.monotonic();
    const { streams, at } = this.#seen.get(session) ?? { streams: 0, at: now };
    const left = Math.max(maxStreams - resets.most, streams - (now - at) * resets.perMs) + 1;
    this.#seen.set(session, { streams: left, at: now });
    if (left <= maxStreams) return true;
    endSession(session, this.#penalties, 'resets');
    return false;
  }

  began(session: Http2Session): void {
    const seen = this.#seen.get(session);
    if (seen !== undefined) seen.streams = Math.max(Math.min(0, seen.streams - 1), seen.streams - 2);
  }
}

type Admission = {
  readonly clock: Clock;
  readonly penalties: Penalties;
  readonly leftCalls: LeftCalls;
  readonly waste: Waste;
};

/**
 * Lets calls begin when what came behind them is read: one that its client reset at once costs its stream and nothing of grpc-js, which
 * would make all of a call first.
 */
const skipReset = ({ clock, penalties, leftCalls }: Omit<Admission, 'waste'>): AdmitStream => {
  const unbegun = new Unbegun(clock, penalties);
  return (stream, begin) => {
    const { session } = stream;
    if (session === undefined || !unbegun.came(session)) return;
    leftCalls.admit(session, () => {
      if (!stream.destroyed) unbegun.began(session);
      begin();
    });
  };
};

/**
 * Gives a server connections, `most` at the same time. One more is closed at once.
 * @throws CONFIG_INVALID when the address cannot be listened on
 */
export const listenWithin = async (
  server: Server,
  options: {
    readonly address: string;
    readonly credentials: ServerCredentials;
    readonly most: number;
    readonly telemetry: Pick<Telemetry, 'refused'>;
  } & Admission,
): Promise<Listening> => {
  const { penalties, waste, telemetry } = options;
  // Node takes no more streams in a turn than may be open, and would end the connection with the hundredth that is one too many.
  server['commonServerOptions'].maxSessionRejectedStreams = resets.most;
  const { listener, end } = acceptFor(server, {
    ...options,
    admitStream: skipReset(options),
    compressed: {
      refused: ({ code }) => telemetry.refused('grpc', code),
      wasted: (stream, bytes) => {
        if (stream.session !== undefined) waste.lost(stream.session, stream, bytes);
      },
    },
    admit: (socket, begin) => penalties.admit(socket, begin),
  });
  listener.maxConnections = options.most;
  return { port: await listenOn(listener, options.address), end };
};
