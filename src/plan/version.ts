import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical.ts';
import type { Resource, Versioned } from './resources.ts';

/** Hash of a body: 16 hexadecimal digits of the sha256 of its canonical JSON. Equal version, equal meaning. */
export const versionOf = (body: Resource['body']): string =>
  createHash('sha256').update(canonicalJson(body)).digest('hex').slice(0, 16);

export const versioned = <R extends Resource>(resource: R): Versioned<R> => ({
  ...resource,
  version: versionOf(resource.body),
});
