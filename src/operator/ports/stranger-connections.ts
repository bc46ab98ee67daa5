import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Server, Socket } from 'node:net';
import { clientNetworkOf } from '../../egress/address.ts';
import type { Clock } from '../../time/clock.ts';

type Connection = {
  readonly peer: string;
  readonly socket: Socket;
  readonly network: string;
  /** Streams of somebody known. */
  streams: number;
  /** Since when there is none. */
  since: number;
  /** Requests that are being answered. */
  requests: number;
  /** Its calls of gRPC that hold something. */
  readonly calls: Set<ServerHttp2Stream>;
  stopTimer: () => void;
};

type StrangersParts = {
  readonly clock: Clock;
  /** Strangers at the same time. Default: 1,000. */
  readonly most?: number | undefined;
  /** False: they end by other rules than their time, and none waits for a turn. Default: true. */
  readonly expire?: boolean;
};

/** Milliseconds in which a connection has to show who it is. */
export const patienceMs = 60_000;
/**
 * Of this age or less nobody's place is taken unless another network has fewer. Where a whole fleet comes, all are this young: a handshake, up
 * to six seconds until it is a runtime's turn to be asked who it is (sync/server.ts), and the answer.
 */
const youngMs = 10_000;
/** Milliseconds for what one that was known is told last, where there is no room for it. */
const farewellMs = 1_000;

/**
 * Bounds what connections cost that belong to nobody known: whoever reaches the port can open them, each takes 80 KiB with TLS, and
 * keepalives do not end it.
 *
 * Guarantees: one that has no stream of a runtime, a device or a replica ends a minute later. There are at most `most` of them, and for a
 * second those that were known. The next one takes the place of the oldest of the network that has most of them, where that has more than
 * its own would; else that of the oldest of its own, or where it has none of all, if that had ten seconds, or where they do not expire any
 * time; else it is ended itself. The oldest is the one that asked and was answered the longest ago, and those that answer a request now
 * come behind those that do not, while they are half or fewer. Where more of a network do, and it has less than half of `most`, the oldest of
 * all others that answer none goes first, by the same rule.
 * A connection of somebody known is not ended here. One of a stranger begins a call of gRPC only where it has none, as up to 128 KiB of each
 * are held; calls that began before stay.
 */
export class StrangerConnections {
  readonly #clock: Clock;
  readonly #most: number;
  readonly #expire: boolean;
  readonly #youngMs: number;
  /** All connections, by peer. */
  readonly #connections = new Map<string, Connection>();
  /** The oldest first: all, and by network. */
  readonly #strangers = new Set<Connection>();
  readonly #networks = new Map<string, Set<Connection>>();
  /** Those that were known and found no place: they are told what is left to say. None takes their place, which is none. */
  readonly #leaving = new Set<Connection>();
  #ended = 0;

  constructor({ clock, most = 1_000, expire = true }: StrangersParts) {
    this.#clock = clock;
    this.#most = most;
    this.#expire = expire;
    this.#youngMs = expire ? youngMs : 0;
  }

  /** Strangers that there are. */
  get size(): number {
    return this.#strangers.size + this.#leaving.size;
  }

  /** Strangers that were ended here, or not let in. */
  get ended(): number {
    return this.#ended;
  }

  /** Has connections of a server begin here only, with the listeners that it has by now. */
  guard(server: Server): void {
    const listeners = server.listeners('connection');
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) =>
      this.admit(socket, () => {
        for (const listener of listeners) listener.call(server, socket);
      }),
    );
  }

  /** Calls `begin` where there is room for a connection. */
  readonly admit = (socket: Socket, begin: () => void): void => {
    const { remoteAddress, remotePort } = socket;
    // One that was reset meanwhile has none.
    if (remoteAddress === undefined) {
      this.#end(socket);
      return;
    }
    const network = clientNetworkOf(remoteAddress);
    if (!this.#hasRoom(network)) {
      this.#end(socket);
      return;
    }
    const peer = `${remoteAddress}:${remotePort}`;
    const connection = {
      peer,
      socket,
      network,
      streams: 0,
      since: 0,
      requests: 0,
      calls: new Set<ServerHttp2Stream>(),
      stopTimer: () => undefined,
    };
    this.#connections.set(peer, connection);
    socket.once('close', () => this.#gone(connection));
    this.#becomesStranger(connection);
    begin();
  };

  /** Calls `begin` where a call of gRPC may begin. */
  readonly admitCall = (stream: ServerHttp2Stream, begin: () => void): void => {
    const { remoteAddress, remotePort } = stream.session?.socket ?? {};
    const connection = this.#connections.get(`${remoteAddress}:${remotePort}`);
    if (connection !== undefined) {
      const { calls } = connection;
      if (calls.size > 0 && this.#isStranger(connection)) {
        stream.close(constants.NGHTTP2_REFUSED_STREAM);
        return;
      }
      calls.add(stream);
      // Not once it is closed: one that its client closes without an error keeps what nobody read.
      stream.once('close', () => calls.delete(stream));
    }
    begin();
  };

  /** The connection of `peer`, as gRPC says it, has a stream of somebody known, until the result is called. */
  knows(peer: string): () => void {
    const connection = this.#connections.get(peer);
    if (connection === undefined) return () => undefined;
    connection.streams += 1;
    if (connection.streams === 1) this.#forget(connection);
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      connection.streams -= 1;
      if (connection.streams > 0 || this.#connections.get(peer) !== connection) return;
      if (this.#hasRoom(connection.network)) this.#becomesStranger(connection);
      else {
        this.#leaving.add(connection);
        this.#endsIn(farewellMs, connection);
      }
    };
  }

  /** A connection, as Node says whose a request is, begins one. */
  asks({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): void {
    const connection = this.#connections.get(`${remoteAddress}:${remotePort}`);
    if (connection !== undefined && this.#strangers.has(connection)) this.#becomesNewest(connection);
  }

  /** It has one that is being answered, until the result is called. Where a body is read this is for after it: its sender has all the time. */
  answers({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): () => void {
    const connection = this.#connections.get(`${remoteAddress}:${remotePort}`);
    if (connection === undefined) return () => undefined;
    connection.requests += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      connection.requests -= 1;
      if (this.#strangers.has(connection)) this.#becomesNewest(connection);
    };
  }

  #isStranger(connection: Connection): boolean {
    return this.#strangers.has(connection) || this.#leaving.has(connection);
  }

  #becomesStranger(connection: Connection): void {
    if (this.#expire) this.#endsIn(patienceMs, connection);
    this.#becomesNewest(connection);
  }

  #endsIn(ms: number, connection: Connection): void {
    connection.stopTimer = this.#clock.after(ms, () => {
      this.#forget(connection);
      this.#end(connection.socket);
    });
  }

  #becomesNewest(connection: Connection): void {
    connection.since = this.#clock.monotonic();
    const some = this.#networks.get(connection.network) ?? new Set();
    this.#networks.set(connection.network, some);
    for (const ordered of [this.#strangers, some]) {
      ordered.delete(connection);
      ordered.add(connection);
    }
  }

  /** For one more of `network`; makes it where it can. */
  #hasRoom(network: string): boolean {
    if (this.#strangers.size < this.#most) return true;
    const own = this.#networks.get(network);
    let largest: Set<Connection> | undefined;
    let most = (own?.size ?? 0) + 1;
    for (const some of this.#networks.values()) {
      if (some.size <= most) continue;
      largest = some;
      most = some.size;
    }
    const oldest = this.#oldestOf(largest ?? own ?? this.#strangers);
    const isYoung = oldest === undefined || this.#clock.monotonic() - oldest.since < this.#youngMs;
    if (oldest === undefined || (largest === undefined && isYoung)) return false;
    this.#forget(oldest);
    this.#end(oldest.socket);
    return true;
  }

  /** The one whose place is taken. */
  #oldestOf(connections: ReadonlySet<Connection>): Connection | undefined {
    const [oldest] = connections;
    const isSmall = 2 * connections.size < this.#most;
    return idleOf(connections) ?? (isSmall ? idleOf(this.#strangers) : undefined) ?? oldest;
  }

  #end(socket: Socket): void {
    this.#ended += 1;
    socket.destroy();
  }

  #gone(connection: Connection): void {
    if (this.#connections.get(connection.peer) === connection) this.#connections.delete(connection.peer);
    this.#forget(connection);
  }

  /** It is no stranger, or is gone. */
  #forget(connection: Connection): void {
    if (!this.#strangers.delete(connection) && !this.#leaving.delete(connection)) return;
    connection.stopTimer();
    const some = this.#networks.get(connection.network);
    some?.delete(connection);
    if (some?.size === 0) this.#networks.delete(connection.network);
  }
}

/**
 * The oldest that answers no request, where no more than half are older and do. Those that came last are left alone: they would be ended
 * before they could ask, for as long as somebody keeps requests under way.
 */
const idleOf = (connections: ReadonlySet<Connection>): Connection | undefined => {
  let older = 0;
  for (const one of connections) {
    if (one.requests === 0) return one;
    older += 1;
    if (2 * older > connections.size) return undefined;
  }
  return undefined;
};
