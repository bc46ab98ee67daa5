import { Server, type ServerCredentials, type ServerInterceptor, type ServerOptions } from '@grpc/grpc-js';
import { type Accepting, acceptFor } from '../../grpc/accept.ts';
import { closeServer } from '../../grpc/server.ts';
import { listenOn } from '../../settings/address.ts';
import type { Clock } from '../../time/clock.ts';
import { StrangerConnections } from '../ports/stranger-connections.ts';

const serverOptions: ServerOptions = {
  // Nobody asks for its tables of connections.
  'grpc.enable_channelz': 0,
  // Everything that a runtime with tens of thousands of adapters reports. Nothing is read of strangers, see `Channel`.
  'grpc.max_receive_message_length': 16 << 20,
  'grpc.max_send_message_length': 4 << 20,
  'grpc.max_concurrent_streams': 16,
  // A runtime that vanished without a word is noticed within 50 seconds.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 20_000,
};

/** Where streams come in: a gRPC server, and its connections. */
export class Port {
  readonly server: Server;
  readonly strangers: StrangerConnections;
  readonly #address: string;
  readonly #clock: Clock;
  #accepting: Accepting | undefined;
  #port = 0;

  /** `address`: `host:port`, port 0 for any free one. */
  constructor(parts: {
    readonly address: string;
    readonly clock: Clock;
    readonly maxStrangers?: number | undefined;
    readonly interceptors?: ServerInterceptor[];
  }) {
    const { address, clock, maxStrangers, interceptors = [] } = parts;
    this.server = new Server({ ...serverOptions, interceptors });
    this.strangers = new StrangerConnections({ clock, most: maxStrangers });
    this.#address = address;
    this.#clock = clock;
  }

  /** `host:port` that it listens on; after `listen`. */
  get address(): string {
    return `${this.#address.slice(0, this.#address.lastIndexOf(':'))}:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** @throws CONFIG_INVALID */
  async listen(credentials: ServerCredentials): Promise<void> {
    const { server, strangers } = this;
    const { admit, admitCall: admitStream } = strangers;
    const accepting = acceptFor(server, { clock: this.#clock, credentials, admit, admitStream });
    this.#accepting = accepting;
    this.#port = await listenOn(accepting.listener, this.#address);
  }

  /** Waits for at most `graceMs`. */
  async close(graceMs: number): Promise<void> {
    await Promise.all([closeServer(this.server, this.#clock, graceMs), this.#accepting?.end(graceMs)]);
  }
}
