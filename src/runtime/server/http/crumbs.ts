import type { IncomingMessage } from 'node:http';
import { cut } from './deafen.ts';

/** Parts of a body that may be as small as their client likes, and bytes that each of more of them has to have in the mean. */
const freeParts = 1024;
const leastPartBytes = 16;

/**
 * Ends a connection whose body comes in chunks of a few bytes. Each is a call of the parser and a buffer of its own: they are counted as they
 * are parsed, since a packet has thousands of them before anybody reads the body.
 */
export const cutCrumbs = (incoming: IncomingMessage): void => {
  const push = incoming.push.bind(incoming);
  let [parts, bytes] = [0, 0];
  incoming.push = (part: Uint8Array | null, encoding) => {
    if (part !== null) {
      parts += 1;
      bytes += part.length;
      if (parts > freeParts && bytes < leastPartBytes * parts) {
        cut(incoming.socket);
        return false;
      }
    }
    return push(part, encoding);
  };
};
