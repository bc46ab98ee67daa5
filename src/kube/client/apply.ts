import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from './api.ts';
import { apiVersionOf, type KubeMetadata, type KubeObject, pathOf, type ResourceType } from './object.ts';

type Name = Pick<KubeMetadata, 'name' | 'namespace'>;
/** An object as it was read: a write goes through only when it did not change since. */
type AsRead = { readonly metadata: Name & Pick<KubeMetadata, 'uid' | 'resourceVersion'> };

export type WriteOptions = {
  /** Who owns the fields, in the object's managedFields. */
  readonly fieldManager: string;
  readonly signal?: AbortSignal;
};

export type ApplyOptions = WriteOptions & {
  /** Takes fields that another manager owns. Otherwise they are a KUBE_CONFLICT. */
  readonly force?: boolean;
  readonly subresource?: 'status';
};

/**
 * Server-side apply: the fields of `object` become, or stay, this manager's; those that it had and that are not in
 * `object` go. The object is made when it does not exist, unless a subresource is meant.
 *
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/
 * @throws AdaptletError KUBE_CONFLICT when another manager has one of the fields with another value
 */
export const serverSideApply = <T extends KubeObject>(
  api: KubeApi,
  type: ResourceType,
  object: { readonly metadata: Name & Partial<KubeMetadata>; readonly [part: string]: unknown },
  { fieldManager, force = false, subresource, signal }: ApplyOptions,
): Promise<T> => {
  const { name, namespace } = object.metadata;
  return api.request<T>({
    method: 'PATCH',
    path: pathOf(type, namespace, name, subresource),
    query: { fieldManager, force: `${force}` },
    // JSON is YAML.
    contentType: 'application/apply-patch+yaml',
    body: { ...object, apiVersion: apiVersionOf(type), kind: type.kind },
    ...(signal === undefined ? {} : { signal }),
  });
};

/**
 * Writes the status of an object, all of it, and nothing else.
 * @param object as it was read, with the new status
 * @throws AdaptletError KUBE_CONFLICT when the object is no longer as it was read; KUBE_NOT_FOUND
 */
export const updateStatus = async <T extends KubeObject>(
  api: KubeApi,
  type: ResourceType,
  object: T,
  { fieldManager, signal }: WriteOptions,
): Promise<T> => {
  const { name, namespace } = object.metadata;
  return api.request<T>({
    method: 'PUT',
    path: pathOf(type, namespace, name, 'status'),
    query: { fieldManager },
    body: {
      apiVersion: apiVersionOf(type),
      kind: type.kind,
      metadata: { ...keptOf(object), ...nameOf(object), ...preconditionOf(object) },
      status: object.status,
    },
    ...(signal === undefined ? {} : { signal }),
  });
};

/**
 * Changes parts of an object by a JSON merge patch (RFC 7386): lists are replaced, null removes.
 * @param object as it was read
 * @throws AdaptletError KUBE_CONFLICT when the object is no longer as it was read; KUBE_NOT_FOUND
 */
export const patchMerge = async <T extends KubeObject>(
  api: KubeApi,
  type: ResourceType,
  object: AsRead,
  patch: { readonly metadata?: object; readonly [part: string]: unknown },
  { fieldManager, subresource, signal }: WriteOptions & { readonly subresource?: 'status' },
): Promise<T> => {
  const { name, namespace } = object.metadata;
  return api.request<T>({
    method: 'PATCH',
    path: pathOf(type, namespace, name, subresource),
    query: { fieldManager },
    contentType: 'application/merge-patch+json',
    body: { ...patch, metadata: { ...patch.metadata, ...preconditionOf(object) } },
    ...(signal === undefined ? {} : { signal }),
  });
};

/**
 * Removes a finalizer, if the object has it. The last one of an object that is being deleted takes the object with it.
 * @returns the object as it is now, or was at last
 * @throws AdaptletError KUBE_CONFLICT, KUBE_NOT_FOUND
 */
export const removeFinalizer = async <T extends KubeObject>(
  api: KubeApi,
  type: ResourceType,
  object: T,
  finalizer: string,
  options: WriteOptions,
): Promise<T> => {
  const finalizers = object.metadata.finalizers ?? [];
  if (!finalizers.includes(finalizer)) return object;
  const left = finalizers.filter((other) => other !== finalizer);
  return patchMerge<T>(api, type, object, { metadata: { finalizers: left } }, options);
};

/**
 * A PUT of a status changes none of these, but those that it leaves out it takes from their field managers: none of them
 * could remove them by server-side apply any more.
 */
const keptOf = ({ metadata }: KubeObject) => {
  const { labels, annotations, ownerReferences, finalizers } = metadata;
  return {
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(ownerReferences === undefined ? {} : { ownerReferences }),
    ...(finalizers === undefined ? {} : { finalizers }),
  };
};

const nameOf = ({ metadata: { name, namespace } }: AsRead): Name =>
  namespace === undefined || namespace === '' ? { name } : { name, namespace };

/** Without them the server would write over whatever is there. */
const preconditionOf = ({ metadata }: AsRead): Pick<KubeMetadata, 'uid' | 'resourceVersion'> => {
  const { uid, resourceVersion } = metadata;
  if (uid === '' || resourceVersion === '')
    throw new AdaptletError('INTERNAL', `${metadata.name} is written without having been read`);
  return { uid, resourceVersion };
};
