import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { type Dial, tlsDialer } from '../../src/runtime/sync/dial.ts';

/** What passed over a link since it was made. Bytes are those of TCP's payload: TLS and HTTP/2 are in them. */
export type Traffic = {
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** Connections that were begun. */
  readonly connections: number;
  /** Messages of the stream. */
  readonly sentMessages: number;
  readonly receivedMessages: number;
};

export const noTraffic: Traffic = {
  sentBytes: 0,
  receivedBytes: 0,
  connections: 0,
  sentMessages: 0,
  receivedMessages: 0,
};

export const addTraffic = (a: Traffic, b: Traffic): Traffic => ({
  sentBytes: a.sentBytes + b.sentBytes,
  receivedBytes: a.receivedBytes + b.receivedBytes,
  connections: a.connections + b.connections,
  sentMessages: a.sentMessages + b.sentMessages,
  receivedMessages: a.receivedMessages + b.receivedMessages,
});

/** Whose code opens a connection: the stream's client makes its socket itself. */
const dialling = new AsyncLocalStorage<Link>();
subscribe('net.client.socket', (message) => {
  dialling.getStore()?.adopt((message as { readonly socket: Socket }).socket);
});

export type LinkOptions = {
  /** host:port of each replica; a Service would send a new connection to any of them. */
  readonly addresses: readonly string[];
  readonly caFile: string;
  readonly tokenFile: string;
};

/** The network of one runtime: the real dialler, counted, which can be cut. */
export class Link {
  addresses: readonly string[];
  readonly #files: Pick<LinkOptions, 'caFile' | 'tokenFile'>;
  readonly #sockets = new Set<Socket>();
  #closed = noTraffic;
  #isCut = false;
  #turn: number;

  /** `turn`: which replica is dialled first, so that many links begin at different ones. */
  constructor({ addresses, caFile, tokenFile }: LinkOptions, turn = 0) {
    this.addresses = addresses;
    this.#files = { caFile, tokenFile };
    this.#turn = turn;
  }

  readonly dial: Dial = async (listener) => {
    const address = this.addresses[this.#turn++ % this.addresses.length];
    if (this.#isCut || address === undefined) throw new Error('the link is cut');
    const dial = tlsDialer({ address, ...this.#files });
    const stream = await dialling.run(this, () =>
      dial({
        message: (message) => {
          this.#count({ receivedMessages: 1 });
          listener.message(message);
        },
        closed: (end) => listener.closed(end),
      }),
    );
    return {
      send: (message, sent) => {
        this.#count({ sentMessages: 1 });
        stream.send(message, sent);
      },
      cancel: () => stream.cancel(),
    };
  };

  /** Resets the connection; until {@link restore} none can be made. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }
  restore(): void {
    this.#isCut = false;
  }

  get traffic(): Traffic {
    return [...this.#sockets].map(trafficOf).reduce(addTraffic, this.#closed);
  }

  adopt(socket: Socket): void {
    this.#sockets.add(socket);
    this.#count({ connections: 1 });
    socket.once('close', () => {
      if (this.#sockets.delete(socket)) this.#closed = addTraffic(this.#closed, trafficOf(socket));
    });
  }

  #count(more: Partial<Traffic>): void {
    this.#closed = addTraffic(this.#closed, { ...noTraffic, ...more });
  }
}

const trafficOf = ({ bytesRead, bytesWritten }: Socket): Traffic => ({
  ...noTraffic,
  sentBytes: bytesWritten,
  receivedBytes: bytesRead,
});
