import type { Refusal as WireRefusal, Resource as WireResource } from '../gen/adaptlet/control/v1/control.ts';
import { canonicalJson } from '../plan/canonical.ts';
import { resourceKey, type Versioned, versionOf } from '../plan/resources.ts';
import { readBody } from './bodies.ts';
import { readKey } from './key.ts';

/** A resource that is not taken, and why; the former version of it stays in force. */
export type Refusal = Readonly<WireRefusal>;

/** Longest body. More than an object of the API server can have. */
export const maxBodyBytes = 2 * 1024 * 1024;

/** Longest reason of a refusal, in characters. */
const maxReason = 512;

/** Bodies in their wire form: many runtimes get the same resource. */
const bodies = new WeakMap<Versioned, Buffer>();

/** The same buffer each time for the same resource: do not write to it. */
export const resourceToWire = (resource: Versioned): WireResource => {
  let body = bodies.get(resource);
  if (body === undefined) {
    body = Buffer.from(canonicalJson(resource.body));
    bodies.set(resource, body);
  }
  return { key: resourceKey(resource), version: resource.version, body };
};

export const refusalOf = (
  { key, version }: { readonly key: string; readonly version: string },
  reason: string,
): Refusal => ({ key: key.slice(0, 400), version: version.slice(0, 64), reason: reason.slice(0, maxReason) });

export type FromWire = { readonly resource: Versioned } | { readonly refusal: Refusal };

/**
 * Reads a resource of the stream: the key names a type and an object, the body has the shape of that type with every
 * field written out and none that is unknown, and the version is the hash of exactly that body. Never throws.
 */
export const resourceFromWire = (wire: WireResource, limitBytes = maxBodyBytes): FromWire => {
  const refused = (reason: string): FromWire => ({ refusal: refusalOf(wire, reason) });
  if (wire.body.length > limitBytes) {
    return refused(`the body has ${wire.body.length} bytes, at most ${limitBytes} are taken`);
  }
  let body: unknown;
  try {
    body = JSON.parse(wire.body.toString('utf8'));
  } catch (error) {
    return refused(`the body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const read = resourceFromParts(wire.key, wire.version, body);
  return 'reason' in read ? refused(read.reason) : read;
};

/** Like {@link resourceFromWire}, of a body that was parsed already. */
export const resourceFromParts = (
  key: string,
  version: string,
  json: unknown,
): { readonly resource: Versioned } | { readonly reason: string } => {
  const name = readKey(key);
  if (name === undefined) return { reason: 'the key is not `type namespace/name` of a known type' };
  const read = readBody(name, json);
  if ('reason' in read) return read;
  // The hash is taken of what was read, not of what was sent: it proves that nothing was added or left out on the way.
  const actual = versionOf(read.resource.body);
  return actual === version
    ? { resource: { ...read.resource, version } }
    : { reason: `the body has the version ${actual}, not ${version.slice(0, 64)}` };
};
