import { createHmac } from 'node:crypto';
import type { RouteObject } from '../api/objects.ts';

/** Of {@link sessionKeyOf}: 32 bytes as base64url. */
export const sessionKeyPattern = /^[A-Za-z0-9_-]{43}$/;

/**
 * The key that signs the tokens of sessions of a route. Each route has its own, by its name: a token of another namespace or route is
 * worth nothing, and nodes that follow copies of one folder agree. Whoever has it can make tokens of that route, and learns nothing of
 * the secret.
 *
 * @param secret what all nodes that share sessions get their keys from, at least 32 random bytes in any encoding
 */
export const sessionKeyOf = (secret: string, { namespace, name }: RouteObject['metadata']): string =>
  createHmac('sha256', secret)
    .update(JSON.stringify(['adaptlet session', namespace, name]))
    .digest('base64url');
