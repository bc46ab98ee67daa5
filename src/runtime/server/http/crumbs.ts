import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

/** Parts of a body that may be as small as their client likes, and bytes that each of more of them has to have in the mean. */
const freeParts = 1024;
const leastPartBytes = 16;

/**
 * Has `end` end a connection whose body comes in chunks of a few bytes. Each is a call of the parser and a buffer of its own: they are counted as they
 * are parsed, since a packet has thousands of them before anybody reads the body.
 */
export const cutCrumbs = (incoming: IncomingMessage, end: (socket: Socket) => void): void => {
  const push = incoming.push.bind(incoming);
  let [parts, bytes] = [0, 0];
  incoming.push = (part: Uint8Array | null, encoding) => {
    if (part !== null) {
      parts += 1;
      bytes += part.length;
      if (parts > freeParts && bytes < leastPartBytes * parts) {
        end(incoming.socket);
        return false;
      }
    }
    return push(part, encoding);
  };
};
