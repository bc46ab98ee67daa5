import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { credentials, Metadata, Server, ServerCredentials, type StatusObject, status } from '@grpc/grpc-js';
import {
  ControlClient,
  type ControlServer,
  ControlService,
  type SyncRequest,
  type SyncResponse,
} from '../../../src/gen/adaptlet/control/v1/control.ts';
import { listen } from '../../../src/grpc/server.ts';
import { issue, makeAuthority } from '../../../src/runtime/sync/testing/certificates.ts';

/** A message of a stream, and who sent it. */
export type Tapped =
  | { readonly from: 'runtime'; readonly message: NonNullable<SyncRequest['message']> }
  | { readonly from: 'operator'; readonly message: NonNullable<SyncResponse['message']> };

type Upstream = ReturnType<ControlClient['sync']>;

/** In milliseconds: longer than an operator takes from one plan of a rollout to the next. */
const slowMs = 1500;

/**
 * Stands between runtimes and an operator, passes every message on as it is, and keeps it. It cannot pass what a runtime
 * proves by its connection, so runtimes have tokens.
 */
export class Wiretap implements AsyncDisposable {
  readonly address: string;
  /** Its own authority, which runtimes have to trust. */
  readonly caFile: string;
  /** By the name that a runtime says. Of the streams that it had, one after the other. */
  readonly streams = new Map<string, Tapped[][]>();
  /** Names of runtimes whose messages take {@link slowMs} longer. */
  readonly slow = new Set<string>();
  readonly #server: Server;
  readonly #open: Set<Upstream>;

  private constructor(server: Server, open: Set<Upstream>, address: string, caFile: string) {
    this.#server = server;
    this.#open = open;
    this.address = address;
    this.caFile = caFile;
  }

  /** `operator`: host:port, and the path of the authority that it has. */
  static async start(
    folder: string,
    operator: { readonly address: string; readonly caFile: string },
  ): Promise<Wiretap> {
    const authority = await makeAuthority(folder, 'wiretap');
    const { key, certificate } = await issue(authority);
    const secure = credentials.createSsl(await readFile(operator.caFile), null, null, {
      checkServerIdentity: () => undefined,
    });
    const open = new Set<Upstream>();
    const server = new Server();
    const service: Pick<ControlServer, 'sync'> = {
      sync: (call) => {
        const client = new ControlClient(operator.address, secure, {
          'grpc.ssl_target_name_override': 'localhost',
          'grpc.use_local_subchannel_pool': 1,
          'grpc.enable_retries': 0,
        });
        const metadata = new Metadata();
        for (const value of call.metadata.get('authorization')) metadata.set('authorization', value);
        const upstream = client.sync(metadata);
        open.add(upstream);
        const kept: Tapped[] = [];
        let name = '';
        const passOn = ({ message }: SyncRequest): void => {
          if (message !== undefined) kept.push({ from: 'runtime', message });
          upstream.write({ message });
        };
        call.on('data', (request: SyncRequest) => {
          const { message } = request;
          if (message?.$case === 'hello') {
            name = message.value.identity?.name ?? '';
            tap.#keep(name, kept);
          }
          if (tap.slow.has(name)) setTimeout(passOn, slowMs, request);
          else passOn(request);
        });
        upstream.on('data', ({ message }: SyncResponse) => {
          if (message !== undefined) kept.push({ from: 'operator', message });
          call.write({ message });
        });
        call.on('error', () => upstream.cancel());
        call.on('cancelled', () => upstream.cancel());
        call.on('end', () => upstream.end());
        upstream.on('error', () => undefined);
        upstream.on('status', ({ code, details }: StatusObject) => {
          open.delete(upstream);
          client.close();
          if (code === status.OK) call.end();
          else call.emit('error', { code, details });
        });
      },
    };
    server.addService(ControlService, { ...service, relay: () => undefined });
    const pair = { private_key: key, cert_chain: certificate };
    const port = await listen(server, '127.0.0.1:0', ServerCredentials.createSsl(null, [pair]));
    const tap = new Wiretap(server, open, `127.0.0.1:${port}`, join(folder, 'wiretap.crt'));
    return tap;
  }

  /** Ends every stream; runtimes dial again. */
  cut(): void {
    for (const stream of this.#open) stream.cancel();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.forceShutdown();
  }

  #keep(name: string, kept: Tapped[]): void {
    this.streams.set(name, [...(this.streams.get(name) ?? []), kept]);
  }
}
