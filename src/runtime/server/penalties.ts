import type { Socket } from 'node:net';
import { clientNetworkOf } from '../../egress/address.ts';
import type { Clock } from '../../time/clock.ts';
import { hold } from './hold.ts';
import { earlyMs, Leaves } from './leaves.ts';
import type { ConnectionLimits } from './limits.ts';
import type { Telemetry } from './telemetry/telemetry.ts';

/**
 * Why a connection was or is ended, and milliseconds that the next ones of its address wait for that: about ten times what it took of the thread that
 * all requests share.
 */
const penaltyMs = {
  /** A body in chunks of a few bytes. */
  chunks: 20,
  /** More requests than may be under way. */
  pipelined: 20,
  /** Its answer came before its request, one of more than 64 KiB, was whole. */
  unfinished: 50,
  /** Streams that were reset before they began. */
  resets: 50,
  /** Messages that did not come to their end. */
  messages: 1000,
  /** A client left its answer early, as others of its address had too often (leaves.ts). Of gRPC calls of its connection wait as well (grpc/left-calls.ts). */
  left: 50,
} as const;
export type PenaltyCause = keyof typeof penaltyMs;

/** Milliseconds between two of the connections that waited, and the most that one waits. */
const apartMs = 10;
const longestMs = 2000;

/** The part of a port's connections that may wait for one address. */
const waitingPart = 1 / 4;

type Waiting = { readonly socket: Socket; readonly since: number; readonly begin: () => void };
type Line = { readonly waiting: Set<Waiting>; nextAt: number; stopTimer: () => void };

type PenaltyParts = {
  readonly clock: Pick<Clock, 'monotonic' | 'after'>;
  readonly limits: Pick<ConnectionLimits, 'isGateway' | 'maxConnections'>;
  readonly telemetry: Pick<Telemetry, 'endedConnection' | 'delayedConnection'>;
};

/**
 * Has the next connections of an address wait where one of it was ended for what came on it, or where its clients left early too often. To end
 * a connection costs more than to begin one, and a request more than to ask: whoever comes again at once would keep the thread busy that all
 * requests share.
 *
 * Guarantees: connections that are there go on as before, but for calls of gRPC that wait (grpc/left-calls.ts). Those of an address that wait begin one after another, 10 ms apart, and each within 2 s:
 * none is refused, since others may share the address, but where a quarter of all that the port may have waits already. Over HTTP
 * 128 KiB are read of one that waits, at most, and it ends when its client ends its side; over gRPC nothing is read of it. Gateways and unix
 * sockets do not wait.
 */
export class Penalties {
  readonly #parts: PenaltyParts;
  readonly #protocol: 'grpc' | 'http';
  /** Of addresses that have to wait, or have waiting connections. */
  readonly #lines = new Map<string, Line>();
  readonly #leaves: Leaves;
  #isClosed = false;

  constructor(parts: PenaltyParts, protocol: 'grpc' | 'http') {
    this.#parts = parts;
    this.#protocol = protocol;
    this.#leaves = new Leaves(parts.clock);
  }

  /** A connection of `address` is ended. */
  charge(address: string | undefined, cause: PenaltyCause): void {
    if (this.#isClosed) return;
    const { clock, telemetry } = this.#parts;
    telemetry.endedConnection(this.#protocol, cause);
    const key = this.#keyOf(address);
    if (key === undefined) return;
    const now = clock.monotonic();
    const line = this.#lines.get(key) ?? this.#open(key, now);
    line.nextAt = Math.min(now + longestMs, Math.max(now, line.nextAt) + penaltyMs[cause]);
    this.#arm(key, line);
  }

  /** A client left before its answer was whole, so many milliseconds behind the beginning of its request. True: too often, and it is charged. */
  left(address: string | undefined, afterMs: number): boolean {
    const key = this.#keyOf(address);
    if (key === undefined || this.#isClosed || afterMs > earlyMs || this.#leaves.isFree(key)) return false;
    this.charge(address, 'left');
    return true;
  }

  /** Calls `begin` when it is the turn of a connection, mostly at once; never of one that is gone by then. */
  admit(socket: Socket, begin: () => void): void {
    const key = this.#lines.size === 0 ? undefined : this.#keyOf(socket.remoteAddress);
    const line = key === undefined ? undefined : this.#lines.get(key);
    if (key === undefined || line === undefined) {
      begin();
      return;
    }
    const { clock, limits, telemetry } = this.#parts;
    // Who resets what waits would fill the port with it: of one that is not read, over gRPC, nobody knows that it is gone.
    if (line.waiting.size >= waitingPart * limits.maxConnections) {
      socket.destroy();
      return;
    }
    telemetry.delayedConnection(this.#protocol);
    const release = this.#hold(socket);
    const waiting = { socket, since: clock.monotonic(), begin: () => release(begin) };
    line.waiting.add(waiting);
    // One that breaks before anybody listens must not end the process.
    socket.on('error', () => undefined).once('close', () => line.waiting.delete(waiting));
    this.#arm(key, line);
  }

  /** The server closes: what waits is ended, and nothing is charged any more. */
  close(): void {
    this.#isClosed = true;
    for (const { waiting, stopTimer } of this.#lines.values()) {
      stopTimer();
      for (const { socket } of waiting) socket.destroy();
    }
    this.#lines.clear();
  }

  /** Of HTTP it is known so when a client is gone. What is read of HTTP/2 would be work at once, whatever becomes of the connection. */
  #hold(socket: Socket): (begin: () => void) => void {
    if (this.#protocol === 'http') return hold(socket);
    socket.pause();
    return (begin) => {
      begin();
      socket.resume();
    };
  }

  #keyOf(address: string | undefined): string | undefined {
    if (address === undefined || this.#parts.limits.isGateway?.(address) === true) return undefined;
    return clientNetworkOf(address);
  }

  #open(key: string, now: number): Line {
    const line = { waiting: new Set<Waiting>(), nextAt: now, stopTimer: () => undefined };
    this.#lines.set(key, line);
    return line;
  }

  #arm(key: string, line: Line): void {
    const { clock } = this.#parts;
    const [first] = line.waiting;
    const at = Math.min(line.nextAt, first === undefined ? Infinity : first.since + longestMs);
    line.stopTimer();
    line.stopTimer = clock.after(Math.max(0, at - clock.monotonic()), () => this.#turn(key, line));
  }

  #turn(key: string, line: Line): void {
    const now = this.#parts.clock.monotonic();
    if (line.waiting.size === 0) {
      if (now >= line.nextAt) this.#lines.delete(key);
      else this.#arm(key, line);
      return;
    }
    let mayBegin = now >= line.nextAt;
    if (mayBegin) line.nextAt = now + apartMs;
    for (const one of line.waiting) {
      if (!mayBegin && now < one.since + longestMs) break;
      line.waiting.delete(one);
      // Its close is told in a later turn.
      if (one.socket.destroyed) continue;
      mayBegin = false;
      one.begin();
    }
    this.#arm(key, line);
  }
}
