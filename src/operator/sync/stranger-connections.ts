import type { Socket } from 'node:net';
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
  stopTimer: () => void;
};

type StrangersParts = {
  readonly clock: Clock;
  /** Strangers at the same time. Default: 1,000. */
  readonly most?: number | undefined;
};

/** Milliseconds in which a connection has to show who it is. A runtime that was refused tries again on the one that it has. */
export const patienceMs = 60_000;
/** Of these nobody's place is taken for another one of its network: where a whole fleet comes, all are this young. */
const handshakeMs = 5_000;

/**
 * Bounds what connections cost that belong to nobody known: whoever reaches the port can open them, each takes 80 KiB with TLS, and
 * keepalives do not end it.
 *
 * Guarantees: one that has no stream of a runtime, a device or a replica ends a minute later. There are at most `most` of them. The next
 * one takes the place of the oldest of the network that has most of them; where that is its own network, only of one that had five seconds, and
 * is ended itself otherwise. A connection of somebody known is not ended here.
 */
export class StrangerConnections {
  readonly #clock: Clock;
  readonly #most: number;
  /** All connections, by peer. */
  readonly #connections = new Map<string, Connection>();
  /** Strangers by network, the oldest first. */
  readonly #strangers = new Map<string, Set<Connection>>();
  #size = 0;
  #ended = 0;

  constructor({ clock, most = 1_000 }: StrangersParts) {
    this.#clock = clock;
    this.#most = most;
  }

  /** Strangers that there are. */
  get size(): number {
    return this.#size;
  }

  /** Strangers that were ended here, or not let in. */
  get ended(): number {
    return this.#ended;
  }

  /** Calls `begin` where there is room for a connection. */
  readonly admit = (socket: Socket, begin: () => void): void => {
    const { remoteAddress = '', remotePort = 0 } = socket;
    const peer = `${remoteAddress}:${remotePort}`;
    const network = clientNetworkOf(remoteAddress);
    const connection = { peer, socket, network, streams: 0, since: 0, stopTimer: () => undefined };
    if (!this.#becomesStranger(connection)) return;
    this.#connections.set(peer, connection);
    socket.once('close', () => this.#gone(connection));
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
      const isThere = this.#connections.get(peer) === connection;
      if (connection.streams === 0 && isThere) this.#becomesStranger(connection);
    };
  }

  /** False: there is no room, and it is ended. */
  #becomesStranger(connection: Connection): boolean {
    const { network } = connection;
    if (this.#size >= this.#most && !this.#makeRoom(network)) {
      this.#end(connection);
      return false;
    }
    connection.since = this.#clock.monotonic();
    connection.stopTimer = this.#clock.after(patienceMs, () => {
      this.#forget(connection);
      this.#end(connection);
    });
    const some = this.#strangers.get(network) ?? new Set();
    this.#strangers.set(network, some.add(connection));
    this.#size += 1;
    return true;
  }

  /** For one more of `network`. */
  #makeRoom(network: string): boolean {
    let most = this.#strangers.get(network) ?? new Set<Connection>();
    // As many as there would be of its own: who has one more is not better off for it.
    let isOwn = true;
    for (const some of this.#strangers.values()) {
      if (some.size <= most.size + (isOwn ? 1 : 0)) continue;
      most = some;
      isOwn = false;
    }
    const [oldest] = most;
    if (oldest === undefined) return false;
    if (isOwn && this.#clock.monotonic() - oldest.since < handshakeMs) return false;
    this.#forget(oldest);
    this.#end(oldest);
    return true;
  }

  #end(connection: Connection): void {
    this.#ended += 1;
    connection.socket.destroy();
  }

  #gone(connection: Connection): void {
    if (this.#connections.get(connection.peer) === connection) this.#connections.delete(connection.peer);
    this.#forget(connection);
  }

  /** It is no stranger, or is gone. */
  #forget(connection: Connection): void {
    const some = this.#strangers.get(connection.network);
    if (some?.delete(connection) !== true) return;
    connection.stopTimer();
    this.#size -= 1;
    if (some.size === 0) this.#strangers.delete(connection.network);
  }
}
