import { isDeepStrictEqual } from 'node:util';
import { errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import { serverSideApply } from '../../kube/client/apply.ts';
import { listObjects } from '../../kube/client/list.ts';
import { type KubeObject, pathOf, type ResourceType } from '../../kube/client/object.ts';

/** Owner of what is written for gateways, in managedFields. */
const fieldManager = 'adaptlet-operator-gateway';

export type Owned = {
  readonly type: ResourceType;
  readonly namespace: string;
  /** They say whose the objects are: one without all of them is not seen. */
  readonly ownLabels: Readonly<Record<string, string>>;
  /** More labels of every object. */
  readonly labels?: Readonly<Record<string, string>>;
  /** By name: all but the metadata, and annotations of its own. */
  readonly wanted: ReadonlyMap<
    string,
    {
      readonly body: Readonly<Record<string, unknown>>;
      readonly annotations?: Readonly<Record<string, string>>;
    }
  >;
};

const hasAll = (
  some: Readonly<Record<string, string>> | undefined,
  wanted: Readonly<Record<string, string>>,
): boolean => Object.entries(wanted).every(([name, value]) => some?.[name] === value);

/**
 * Makes the objects of one kind in a namespace those that are wanted: writes what differs, and deletes those of ours that are not wanted.
 * `fence` is called before each write.
 * @returns how many were written and deleted
 * @throws as `KubeApi.request`: KUBE_NOT_FOUND where the kind is not there, or the namespace; KUBE_CONFLICT where an object
 * of this name is there that is not ours
 */
export const keepOwned = async (
  api: KubeApi,
  { type, namespace, ownLabels, labels = {}, wanted }: Owned,
  fence: () => void,
  signal: AbortSignal,
): Promise<{ readonly written: number; readonly deleted: number }> => {
  const labelSelector = Object.entries(ownLabels)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
  const all = { ...labels, ...ownLabels };
  const there = new Map<string, KubeObject>();
  for await (const object of listObjects(api, type, { namespace, labelSelector, signal }))
    there.set(object.metadata.name, object);
  const kept = { written: 0, deleted: 0 };
  let conflict: unknown;
  for (const [name, { body, annotations = {} }] of wanted) {
    const object = there.get(name) as (KubeObject & Readonly<Record<string, unknown>>) | undefined;
    there.delete(name);
    const isSame =
      object !== undefined &&
      Object.entries(body).every(([part, value]) => isDeepStrictEqual(object[part], value)) &&
      hasAll(object.metadata.labels, all) &&
      hasAll(object.metadata.annotations, annotations);
    if (isSame) continue;
    fence();
    const metadata = { name, namespace, labels: all, annotations };
    // One of ours is ours as a whole; another one of this name is not written over.
    const force = object !== undefined;
    try {
      await serverSideApply(api, type, { ...body, metadata }, { fieldManager, force, signal });
      kept.written += 1;
    } catch (error) {
      // It keeps none of the others out.
      if (errorCodeOf(error) !== 'KUBE_CONFLICT') throw error;
      conflict ??= error;
    }
  }
  for (const [name, { metadata }] of there) {
    fence();
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: metadata.uid } };
    try {
      await api.request({ method: 'DELETE', path: pathOf(type, namespace, name), body, signal });
    } catch (error) {
      // Somebody was faster.
      if (errorCodeOf(error) !== 'KUBE_NOT_FOUND') throw error;
    }
    kept.deleted += 1;
  }
  if (conflict !== undefined) throw conflict;
  return kept;
};
