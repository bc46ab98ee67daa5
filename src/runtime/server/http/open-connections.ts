import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Requests of a connection that may be under way at the same time. Clients send the next one when they have the answer. */
const maxUnderWay = 16;

/** Of a connection: requests whose answers are not sent to their end, and how many bytes had come when the last one was. */
type UnderWay = { readonly open: Set<ServerResponse>; read: number };

/** Connections of a server that had a request. Node's closeIdleConnections cuts answers that are made and not yet taken. */
export class OpenConnections {
  readonly #all = new Map<Socket, UnderWay>();
  /** Those whose answers are all sent; the one that has been so for the longest is the first. */
  readonly #idle = new Set<Socket>();
  readonly #end: (socket: Socket) => void;

  /** `end`: a connection with too many requests. */
  constructor(end: (socket: Socket) => void) {
    this.#end = end;
  }

  /**
   * Counts a request of a connection. False: there are too many, and the connection is over. Node begins with all that a client sends
   * before it reads, thousands at once, and tells none but the first that their connection broke.
   */
  isWithin(socket: Socket, res: ServerResponse): boolean {
    if (socket.destroyed) return false;
    const one = this.#all.get(socket) ?? this.#begin(socket);
    const { open } = one;
    this.#idle.delete(socket);
    open.add(res);
    res.once('close', () => {
      open.delete(res);
      one.read = socket.bytesRead;
      if (open.size === 0 && !socket.destroyed) this.#idle.add(socket);
    });
    if (open.size > maxUnderWay) this.#end(socket);
    return !socket.destroyed;
  }

  /** Ends the one on which nothing has been under way for the longest. False: there is none. */
  endLongestIdle(): boolean {
    for (const socket of this.#idle) {
      this.#idle.delete(socket);
      // Else something came: it is idle again behind the next answer.
      if (socket.bytesRead !== this.#all.get(socket)?.read) continue;
      socket.destroy();
      return true;
    }
    return false;
  }

  /** Ends those on which nothing is under way. */
  endIdle(): void {
    let isOneMore = true;
    while (isOneMore) isOneMore = this.endLongestIdle();
  }

  #begin(socket: Socket): UnderWay {
    const one: UnderWay = { open: new Set(), read: -1 };
    this.#all.set(socket, one);
    socket.once('close', () => {
      this.#all.delete(socket);
      this.#idle.delete(socket);
      for (const waiting of one.open) waiting.emit('close');
    });
    return one;
  }
}
