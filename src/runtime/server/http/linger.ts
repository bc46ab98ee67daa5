import type { Socket } from 'node:net';
import type { MiddlewareHandler } from 'hono';
import type { Clock } from '../../../time/clock.ts';
import { bindingsOf } from './connection.ts';
import { deafen } from './deafen.ts';

/** How long a connection stays behind an answer that came before its request was whole, and bytes of the request that may come meanwhile. */
const lingering = { lookMs: 20, looks: 100, mostBytes: 8 << 20 } as const;

/**
 * Ends a connection behind its answer, for a client that is still sending: who has not taken the answer by then would lose it, and many look for it
 * only when all is sent. What comes until then is let go as it comes, which costs its copy and no more.
 */
const linger = (socket: Socket, clock: Pick<Clock, 'after'>): void => {
  deafen(socket);
  socket.end();
  const before = socket.bytesRead;
  let looks = 0;
  const look = (): void => {
    looks += 1;
    if (looks >= lingering.looks || socket.bytesRead - before > lingering.mostBytes) socket.destroy();
    else stopTimer = clock.after(lingering.lookMs, look);
  };
  let stopTimer = clock.after(lingering.lookMs, look);
  socket.once('close', () => stopTimer());
  // It stands still where nobody took what came of the body.
  socket.resume();
};

/** Has a connection that its answer closes linger. */
export const lingerBehind = (socket: Socket, clock: Pick<Clock, 'after'>): void => {
  // Node calls it behind the answer, before which those to earlier requests go out, and would end the connection at once.
  socket.destroySoon = () => {
    if (!socket.writableEnded) linger(socket, clock);
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
