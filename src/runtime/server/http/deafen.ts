import type { Socket } from 'node:net';

/** Where Node's parser of HTTP has what it calls back for headers, their end, bodies and the end of messages. */
const callbacks = [1, 2, 3, 4] as const;
type Parser = Record<(typeof callbacks)[number], unknown>;

/**
 * Has nobody be told of what else comes on a connection: it is read and let go. Node parses a packet to its end whatever became of its
 * connection, and 64 KiB are 10,000 chunks of a byte, or 1,400 heads of requests, of which each is a call. Nothing public stops its parser:
 * `deafen.test.ts` says when this no longer does. A parser has its callbacks for good and goes from connection to connection, so they are put back.
 */
export const deafen = (socket: Socket): void => {
  const { parser } = socket as { readonly parser?: Parser | null };
  if (parser === undefined || parser === null || parser[3] === undefined) return;
  const told = callbacks.map((at) => [at, parser[at]] as const);
  for (const at of callbacks) parser[at] = undefined;
  // Before Node's own listener, which gives the parser away.
  socket.prependOnceListener('close', () => {
    for (const [at, callback] of told) parser[at] = callback;
  });
};

/** Ends a connection, and with it what came on it and is not parsed yet. */
export const cut = (socket: Socket): void => {
  socket.destroy();
  deafen(socket);
};
