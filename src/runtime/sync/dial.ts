import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import {
  type ChannelOptions,
  credentials,
  Metadata,
  type StatusObject,
  status,
  type VerifyOptions,
} from '@grpc/grpc-js';
import { ControlClient, type SyncResponse } from '../../gen/adaptlet/control/v1/control.ts';
import type { Send } from './outbox.ts';

/** What a stream tells. After `closed` nothing more. */
export type StreamListener = {
  message(message: SyncResponse): void;
  closed(why: string): void;
};

export type SyncStream = {
  readonly send: Send;
  /** Ends it from this side; `closed` is still called. */
  cancel(): void;
};

/**
 * Opens a stream.
 * @throws whatever keeps it from being tried, such as a file that cannot be read
 */
export type Dial = (listener: StreamListener) => Promise<SyncStream>;

export type Keepalive = { readonly everyMs: number; readonly timeoutMs: number };

/**
 * A stream whose other end is gone is noticed within 30 s. An HTTP/2 ping and its answer are 17 bytes each, in TLS 39,
 * with the headers of TCP and IP 91; with the acknowledgement of TCP (52) 234 bytes in 20 s, or 0.09 kbit/s: an idle
 * node sends and receives nothing else.
 */
const idleKeepalive: Keepalive = { everyMs: 20_000, timeoutMs: 10_000 };

export type DialOptions = {
  /** host:port. */
  readonly address: string;
  /** PEM, one certificate or several. Read for each stream, so that a new authority needs no restart. */
  readonly caFile: string;
  /** Read for each stream: tokens expire. */
  readonly tokenFile?: string | undefined;
  readonly keepalive?: Keepalive;
};

/** Longest message in bytes; a resource has at most 2 MiB. */
const maxMessageBytes = 8 << 20;

const hostOf = (address: string): string =>
  address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');

/** Options of a connection to an operator. TLS knows no server names that are IP addresses: those are only compared. */
export const connectionOptions = (address: string): ChannelOptions => ({
  ...(isIP(hostOf(address)) === 0 ? {} : { 'grpc.ssl_target_name_override': 'adaptlet-operator' }),
  // Connections that others made, with other authorities, are not taken over.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
});

/** The certificate of the operator is for the address that is dialled. */
export const verifying = (address: string): VerifyOptions => ({
  checkServerIdentity: (_name: string, certificate: PeerCertificate) =>
    checkServerIdentity(hostOf(address), certificate),
});

/** The code of the error catalogue that the operator sent; '' for none. */
export const errorCodeIn = (metadata: Metadata): string => String(metadata.get('x-adaptlet-error')[0] ?? '');

type StreamOptions = {
  readonly address: string;
  /** PEM. */
  readonly ca: Buffer;
  /** PEM, of this side. */
  readonly client?: { readonly key: Buffer; readonly certificate: Buffer };
  readonly metadata?: Metadata;
  readonly keepalive?: Keepalive;
};

/** Opens a stream over a connection of its own. */
export const openStream = (
  { address, ca, client: own, metadata = new Metadata(), keepalive = idleKeepalive }: StreamOptions,
  listener: Pick<StreamListener, 'message'> & { closed(why: string, code: string): void },
): SyncStream => {
  const secure = credentials.createSsl(ca, own?.key ?? null, own?.certificate ?? null, verifying(address));
  const client = new ControlClient(address, secure, {
    ...connectionOptions(address),
    'grpc.keepalive_time_ms': keepalive.everyMs,
    'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
  });
  const call = client.sync(metadata);
  call.on('data', (message: SyncResponse) => listener.message(message));
  // `status` says the same, also without an error.
  call.on('error', () => undefined);
  call.on('status', ({ code, details, metadata: trailers }: StatusObject) => {
    client.close();
    const why = code === status.OK ? 'the operator ended the stream' : `${status[code]}: ${details}`;
    listener.closed(why, errorCodeIn(trailers));
  });
  return {
    send: (message, sent) => {
      call.write(message, (error: Error | null | undefined) => {
        if (error === null || error === undefined) sent();
      });
    },
    cancel: () => call.cancel(),
  };
};

/** Streams over TLS, of a runtime that has a token. */
export const tlsDialer =
  ({ address, caFile, tokenFile, keepalive }: DialOptions): Dial =>
  async (listener) => {
    const metadata = new Metadata();
    if (tokenFile !== undefined) {
      metadata.set('authorization', `Bearer ${(await readFile(tokenFile, 'utf8')).trim()}`);
    }
    const ca = await readFile(caFile);
    return openStream({ address, ca, metadata, ...(keepalive === undefined ? {} : { keepalive }) }, listener);
  };
