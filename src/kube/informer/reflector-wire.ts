import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import { type Call, errorOfStatus, unavailable } from '../client/errors.ts';
import { apiVersionOf, type KubeObject, type ResourceType } from '../client/object.ts';
import type { ReflectorInput } from './reflector-state.ts';
import { SharedTexts } from './shared-texts.ts';

type Json = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

const isVersion = (value: unknown): value is string => typeof value === 'string' && /^\d+$/.test(value);

/** The whole object again, as `kubectl apply` left it. */
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

/** Without managedFields and the copy of kubectl, which nobody reads here and which are often most of an object. */
const metadataIn = (all: Json): Json => {
  const { managedFields: _, ...metadata } = all;
  const { annotations } = metadata;
  if (!isRecord(annotations) || !(lastApplied in annotations)) return metadata;
  const { [lastApplied]: _copy, ...others } = annotations;
  return { ...metadata, annotations: others };
};

/** Of all kinds: an object names others of them. */
const texts = new SharedTexts();

/**
 * An object as the reflector takes it; undefined where it has no usable metadata. Objects in lists of built-in kinds come
 * without their kind.
 */
const objectIn = (value: unknown, type: ResourceType): KubeObject | undefined => {
  if (!isRecord(value) || !isRecord(value['metadata'])) return undefined;
  const metadata = metadataIn(value['metadata']);
  const { name, namespace, uid, resourceVersion } = metadata;
  if (!isText(name) || !isText(uid) || !isVersion(resourceVersion)) return undefined;
  if (namespace !== undefined && typeof namespace !== 'string') return undefined;
  const object = { apiVersion: apiVersionOf(type), kind: type.kind, ...value, metadata };
  texts.shareIn(object);
  return object as KubeObject;
};

/** What a page of a list says. */
export const inputOfPage = (call: Call, type: ResourceType, body: unknown): ReflectorInput => {
  const broken = (what: string): ReflectorInput => ({ type: 'failed', error: unavailable(call, what) });
  const metadata = isRecord(body) ? body['metadata'] : undefined;
  if (!isRecord(body) || !isRecord(metadata) || !isVersion(metadata['resourceVersion'])) {
    return broken('the list has no resourceVersion');
  }
  // Some servers write an empty list as null. A list that has none at all is not taken for an empty one.
  const items = body['items'] === null ? [] : body['items'];
  if (!Array.isArray(items)) return broken('the list has no items');
  const objects = items.map((item) => objectIn(item, type)).filter((object) => object !== undefined);
  if (objects.length !== items.length) return broken('the list has an object without metadata');
  const token = metadata['continue'];
  return {
    type: 'page',
    objects,
    version: metadata['resourceVersion'],
    token: isText(token) ? token : undefined,
  };
};

/** What a line of a watch says. */
export const inputOfEvent = (call: Call, type: ResourceType, event: unknown): ReflectorInput => {
  const broken = (what: string): ReflectorInput => ({ type: 'failed', error: unavailable(call, what) });
  if (!isRecord(event)) return broken('the watch has an event that is no object');
  const { type: kind, object: value } = event;
  switch (kind) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED': {
      const object = objectIn(value, type);
      if (object === undefined) return broken('the watch has an object without metadata');
      return { type: kind === 'DELETED' ? 'remove' : 'put', object };
    }
    case 'BOOKMARK': {
      const metadata = isRecord(value) ? value['metadata'] : undefined;
      const version = isRecord(metadata) ? metadata['resourceVersion'] : undefined;
      return isVersion(version)
        ? { type: 'bookmark', version }
        : broken('the watch has a bookmark without a version');
    }
    case 'ERROR':
      return { type: 'refused', error: errorOfStatus(call, value) };
    default:
      return broken(`the watch has an event of the unknown type ${quoteUntrusted(String(kind))}`);
  }
};

/** The error as one of ours, with what was asked. */
export const inputOfError = (call: Call, error: unknown): ReflectorInput => ({
  type: 'failed',
  error:
    error instanceof AdaptletError
      ? error
      : unavailable(call, error instanceof Error ? error.message : String(error), error),
});
