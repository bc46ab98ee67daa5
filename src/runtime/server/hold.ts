import type { Socket } from 'node:net';

/** Bytes of a connection that waits, behind which it is paused: its socket reads as much once more by itself, and whether it ended is not seen. */
const mostBytes = 64 << 10;

/**
 * Reads what comes on a connection that waits, so that it ends when its client ends its side: nobody would know before its turn. Gives what puts
 * all of it back, and calls who reads from then on.
 */
export const hold = (socket: Socket): ((begin: () => void) => void) => {
  const parts: Buffer[] = [];
  let bytes = 0;
  const take = (part: Buffer): void => {
    parts.push(part);
    bytes += part.length;
    if (bytes >= mostBytes) socket.pause();
  };
  const ended = (): void => void socket.destroy();
  socket.on('data', take).once('end', ended).resume();
  return (begin) => {
    socket.off('data', take).off('end', ended).pause();
    if (bytes > 0) socket.unshift(Buffer.concat(parts));
    // What is put back is told of in the next tick: it would be read for nobody where that flows already.
    process.nextTick(() => {
      if (socket.destroyed) return;
      begin();
      socket.resume();
    });
  };
};
