import { readFile } from 'node:fs/promises';
import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
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

/** Longest message in bytes; a resource has at most 2 MiB. */
const maxMessageBytes = 8 << 20;

const hostOf = (address: string): string =>
  address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');

/** Streams over TLS. Each has a connection of its own. */
export const tlsDialer = ({
  address,
  caFile,
  tokenFile,
  keepalive = idleKeepalive,
  time = new BoundedClock(systemClock),
}: DialOptions): Dial => {
  let isEarly = false;
  return async (listener) => {
    const metadata = new Metadata();
    if (tokenFile !== undefined) {
      metadata.set('authorization', `Bearer ${(await readFile(tokenFile, 'utf8')).trim()}`);
    }
    const host = hostOf(address);
    const secure = operatorCredentials({ bundle: await readFile(caFile), host, time, isEarly });
    const serverName = serverNameOf(host);
    const client = new ControlClient(address, secure, {
      ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
      'grpc.keepalive_time_ms': keepalive.everyMs,
      'grpc.keepalive_timeout_ms': keepalive.timeoutMs,
      'grpc.max_receive_message_length': maxMessageBytes,
      'grpc.max_send_message_length': maxMessageBytes,
      // Connections that others made, with other authorities, are not taken over.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
      'grpc.enable_channelz': 0,
    });
    const call = client.sync(metadata);
    call.on('data', (message: SyncResponse) => listener.message(message));
    // `status` says the same, also without an error.
    call.on('error', () => undefined);
    call.on('status', (ended: StatusObject) => {
      const { code, details } = ended;
      client.close();
      isEarly = saysEarly(details);
      const isClean = code === status.OK;
      // What grpc-js has to add about names, which is mostly nothing.
      const said = details.replace(/\.? Resolution note: *$/, '');
      listener.closed({
        why: isClean ? 'the operator ended the stream' : `${status[code]}: ${said}${adviceOn(said, caFile)}`,
        isClean,
        retryAfterMs: retryAfterMsOf(ended.metadata),
      });
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
};
