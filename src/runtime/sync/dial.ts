import { readFile } from 'node:fs/promises';
import {
  type ChannelCredentials,
  type ChannelOptions,
  Metadata,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import { ControlClient, type SyncResponse } from '../../gen/adaptlet/control/v1/control.ts';
import { retryAfterMsOf } from '../../grpc/retry-after.ts';
import { BoundedClock } from '../../time/bounded-clock.ts';
import { systemClock } from '../../time/clock.ts';
import type { Send } from './outbox.ts';
import { adviceOn, type NodeTime, operatorCredentials, saysEarly, serverNameOf } from './trust.ts';

/** What a stream tells. After `closed` nothing more. */
export type StreamListener = {
  message(message: SyncResponse): void;
  closed(end: StreamEnd): void;
};

export type StreamEnd = {
  readonly why: string;
  /** The operator ended it in order: another stream is welcome at once. */
  readonly isClean: boolean;
  /** When the operator wants another one, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
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
  /** Absent: what this dialler learns is known to it alone. */
  readonly time?: NodeTime;
};

/** Longest messages in bytes. A resource has at most 2 MiB; an operator takes a report of as much as is sent here. */
const longest = { receive: 8 << 20, send: 16 << 20 };

export const hostOf = (address: string): string =>
  address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');

/** Options of a connection to an operator, which is one of its own. */
export const connectionOptions = (address: string): ChannelOptions => {
  const serverName = serverNameOf(hostOf(address));
  return {
    ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
    // Connections that others made, with other authorities, are not taken over.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.enable_channelz': 0,
  };
};

/** The code of the error catalogue that the operator sent; '' for none. */
export const errorCodeIn = (metadata: Metadata): string => String(metadata.get('x-adaptlet-error')[0] ?? '');

type StreamOptions = {
  readonly address: string;
  readonly secure: ChannelCredentials;
  readonly metadata: Metadata;
  readonly keepalive?: Keepalive;
};

/** What a connection says at its end: `details` in the words of gRPC, `code` of the error catalogue or ''. */
type CallEnd = { readonly end: StreamEnd; readonly details: string; readonly code: string };

/** Opens a stream over a connection of its own. */
export const openStream = (
  { address, secure, metadata, keepalive = idleKeepalive }: StreamOptions,
  listener: Pick<StreamListener, 'message'> & { closed(end: CallEnd): void },
): SyncStream => {
  const client = new ControlClient(address, secure, {
    ...connectionOptions(address),
    'grpc.keepalive_time_ms': keepalive.everyMs,
    'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
    'grpc.max_receive_message_length': longest.receive,
    'grpc.max_send_message_length': longest.send,
  });
  const call = client.sync(metadata);
  call.on('data', (message: SyncResponse) => listener.message(message));
  // `status` says the same, also without an error.
  call.on('error', () => undefined);
  call.on('status', (ended: StatusObject) => {
    client.close();
    const isClean = ended.code === status.OK;
    // What grpc-js has to add about names, which is mostly nothing.
    const details = ended.details.replace(/\.? Resolution note: *$/, '');
    const why = isClean ? 'the operator ended the stream' : `${status[ended.code]}: ${details}`;
    const retryAfterMs = retryAfterMsOf(ended.metadata);
    listener.closed({ end: { why, isClean, retryAfterMs }, details, code: errorCodeIn(ended.metadata) });
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
export const tlsDialer = ({
  address,
  caFile,
  tokenFile,
  keepalive,
  time = new BoundedClock(systemClock),
}: DialOptions): Dial => {
  let isEarly = false;
  return async (listener) => {
    const metadata = new Metadata();
    if (tokenFile !== undefined) {
      metadata.set('authorization', `Bearer ${(await readFile(tokenFile, 'utf8')).trim()}`);
    }
    const bundle = await readFile(caFile);
    const secure = operatorCredentials({ bundle, host: hostOf(address), time, isEarly });
    return openStream(
      { address, secure, metadata, ...(keepalive === undefined ? {} : { keepalive }) },
      {
        message: (message) => listener.message(message),
        closed: ({ end, details }) => {
          isEarly = saysEarly(details);
          listener.closed(end.isClean ? end : { ...end, why: end.why + adviceOn(details, caFile) });
        },
      },
    );
  };
};
