import { constants } from 'node:http2';
import { ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { streamOf } from '../../../grpc/stream-of.ts';
import type { Parts } from '../exchange.ts';
import { toServiceError } from './call.ts';
import type { LeftCalls } from './left-calls.ts';
import { type Coming, SlowCalls } from './slow-calls.ts';
import type { Waste } from './waste.ts';

/** Tells of each chunk whether it brings a message to its end: a flag, four bytes of length, the message. */
const messageEnds = (): ((chunk: Uint8Array) => boolean) => {
  const head = Buffer.alloc(5);
  let [have, left] = [0, 0];
  return (chunk) => {
    let ends = false;
    for (let at = 0; at < chunk.length; ) {
      if (have < head.length) {
        head[have] = chunk[at] ?? 0;
        have += 1;
        at += 1;
        if (have === head.length) left = head.readUInt32BE(1);
      } else {
        const some = Math.min(left, chunk.length - at);
        left -= some;
        at += some;
      }
      if (have < head.length || left > 0) continue;
      ends = true;
      have = 0;
    }
    return ends;
  };
};

/** Bytes in a second that a reader takes at least: how far it is with an answer cannot be seen of one stream of several. */
const slowestReader = 64 << 10;

/** Milliseconds in which so many bytes of an answer that is all there have to be taken. */
const unreadMs = (slowClientMs: number, bytes: number): number =>
  slowClientMs + (1000 * bytes) / slowestReader;

/** Milliseconds that a timer may be early by the clock that deadlines are read on. */
const timerMs = 2;

type BoundParts = Pick<Parts, 'clock' | 'log' | 'slowClientMs' | 'limits'>;

/**
 * What calls may take of the server beside their handlers. It has to be the first interceptor. grpc-js resets no stream: what came of a
 * message, and what is not read of an answer, would stay in memory for as long as the client keeps its side open.
 *
 * Guarantees: a call whose message does not come ends ({@link SlowCalls}), and what came of it is let go; so is one of a single message
 * whose client does not say that this is all. Once the status of a call is sent, nothing more of it is read. A connection on which too much comes for nothing ends ({@link Waste}); of one of a gateway the stream, as others' answers are on it. A call that its client left is told to {@link LeftCalls}. An answer that is all there, and that its reader does not take within `slowClientMs` and a second for each 64 KiB, ends with its stream.
 */
export const boundCalls = (
  { clock, log, slowClientMs, limits }: BoundParts,
  waste: Waste,
  leftCalls: LeftCalls,
): ServerInterceptor => {
  const slow = new SlowCalls({ clock, ...limits });
  return (method, call) => {
    const stream = streamOf(call);
    const { session } = stream;
    const began = clock.monotonic();
    const address = session?.destroyed === false ? session.socket.remoteAddress : undefined;
    /** Its status is sent. */
    let isAnswered = false;
    const ends = messageEnds();
    /** What came is whole messages. */
    let isWhole = false;
    /** While a message is on its way. */
    let coming: Coming | undefined;
    /** Bytes of it that came. */
    let bytes = 0;
    /** The client has not said that this is all. */
    let isOpen = true;
    let isWatched = false;
    const watch = (): void => {
      if (isWatched || stream.destroyed) return;
      isWatched = true;
      const unread = stream.writableLength;
      const stopTimer = clock.after(unreadMs(slowClientMs, unread), () => {
        log.debug({ method: method.path, bytes: unread }, 'a client did not read its answer');
        stream.close(constants.NGHTTP2_CANCEL);
      });
      stream.once('close', stopTimer);
    };
    const over = (hasCome: boolean): void => {
      coming?.came();
      coming = undefined;
      const came = bytes;
      bytes = 0;
      if (session === undefined || came === 0) return;
      waste.coming(session, -came);
      if (hasCome) waste.came(session, came);
      else waste.lost(session, stream, came);
    };
    const forgive = (): void => {
      if (session === undefined || waste.takesRoom(session)) return;
      waste.coming(session, -bytes);
      bytes = 0;
    };
    const took = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (session !== undefined) waste.coming(session, chunk.length);
      coming?.took(chunk.length);
    };
    const begin = (): void => {
      coming ??= slow.begin((error) => {
        coming = undefined;
        // What others leave no room for is no waste of its client, which is told to send it again.
        if (error.code === 'QUEUE_FULL') forgive();
        const { code, details, metadata } = toServiceError(error);
        isAnswered = true;
        call.sendStatus({ code, details, metadata });
        watch();
        over(false);
      });
    };
    const onData = (chunk: Buffer): void => {
      isWhole = ends(chunk);
      // grpc-js pauses a stream behind a whole message: one that goes on behind it in the same chunk waits for us, and is not late.
      if (method.requestStream && !isWhole) begin();
      took(chunk);
      if (method.requestStream && isWhole) over(true);
    };
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, pass) => {
            // Clients of Triton open a stream long before they ask. Of one that is paused a listener sees what others read.
            stream.on('data', onData);
            // Of a single message no handler knows before its client says that it is all.
            if (!method.requestStream) begin();
            pass(metadata);
          },
          onReceiveHalfClose: (pass) => {
            isOpen = false;
            // Also where its client reset it: what it never said to be all came for nothing.
            over(isWhole && !stream.closed);
            pass();
          },
          onCancel: () => {
            stream.off('data', onData);
            // One that grpc-js could not read came. So did not one that its client never said to be all in the time that it gave.
            const isLate = Number(call.getDeadline()) - timerMs <= Date.now();
            over(isWhole && !isLate);
            // Of a status that grpc-js makes itself the stream is not closed yet. Who asks several times on a stream ends it as it likes.
            if (session !== undefined && stream.closed && !isAnswered && !method.requestStream)
              leftCalls.left(session, address, clock.monotonic() - began);
            // The status is on its way, also where grpc-js made it (a deadline, a message that cannot be read), and what the client goes on to send
            // would be read for nothing. nghttp2 calls us while it sends: a reset goes before the status unless it waits for a turn. An answer that
            // is not read yet has its trailers still to come.
            if (isOpen && stream.writableLength === 0)
              setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
            else watch();
          },
        }),
      sendMessage: (message, next) => {
        next(message);
        // A stream has its own rule while more of it may come.
        if (!method.responseStream) watch();
      },
      sendStatus: (status, next) => {
        isAnswered = true;
        next(status);
        watch();
      },
    });
  };
};
