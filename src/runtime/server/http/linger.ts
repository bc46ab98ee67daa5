import type { Socket } from 'node:net';
import type { MiddlewareHandler } from 'hono';
import type { Clock } from '../../../time/clock.ts';
import { bindingsOf } from './connection.ts';
import { deafen } from './deafen.ts';

/** How long a connection stays behind an answer that came before its request was whole, and bytes of the request that may come meanwhile. */
const lingering = { lookMs: 20, looks: 100, mostBytes: 8 << 20 } as const;

/** Bytes of a request whose answer came before they did, that cost no more than a connection does: a head and a small body come one after the other. */
export const smallBytes = 64 << 10;

/**
 * Ends a connection behind its answer, for a client that is still sending: who has not taken the answer by then would lose it, and many look for it
 * only when all is sent. What comes until then is let go as it comes, which costs its copy and no more. `cameMuch` is
 * called once, when more than {@link smallBytes} came.
 */
const linger = (socket: Socket, clock: Pick<Clock, 'after'>, cameMuch: () => void): void => {
  deafen(socket);
  socket.end();
  const before = socket.bytesRead;
  let looks = 0;
  let isMuch = false;
  const count = (): void => {
    if (isMuch || socket.bytesRead - before <= smallBytes) return;
    isMuch = true;
    cameMuch();
  };
  const look = (): void => {
    looks += 1;
    count();
    if (looks >= lingering.looks || socket.bytesRead - before > lingering.mostBytes) socket.destroy();
    else stopTimer = clock.after(lingering.lookMs, look);
  };
  let stopTimer = clock.after(lingering.lookMs, look);
  socket.once('close', () => {
    stopTimer();
    count();
  });
  // It stands still where nobody took what came of the body.
  socket.resume();
};

/** Has a connection that its answer closes linger; `cameMuch` is called where more than {@link smallBytes} come behind the answer. */
export const lingerBehind = (socket: Socket, clock: Pick<Clock, 'after'>, cameMuch: () => void): void => {
  // Node calls it behind the answer, before which those to earlier requests go out, and would end the connection at once.
  socket.destroySoon = () => {
    if (!socket.writableEnded) linger(socket, clock, cameMuch);
  };
};

/** Says that the connection ends where the answer comes before its request is whole: nobody reads the rest of it. */
export const endUnfinished: MiddlewareHandler = async (c, next) => {
  await next();
  const { incoming } = bindingsOf(c);
  // Nothing else comes of a whole one; what follows on its connection waits for what is not read.
  if (incoming?.complete === true) incoming.resume();
  else if (incoming !== undefined) c.header('connection', 'close');
};
