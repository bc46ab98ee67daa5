import { setTimeout as sleep } from 'node:timers/promises';
import type { RolloutStatus } from '../../src/api/rollout-status.ts';
import { AdaptletError } from '../../src/errors/adaptlet-error.ts';
import type { KubeApi } from '../../src/kube/client/api.ts';
import { type KubeObject, pathOf } from '../../src/kube/client/object.ts';
import { rolloutType } from '../../src/operator/objects/resource-types.ts';

type Managed = {
  readonly managedFields?: readonly { readonly subresource?: string; readonly time?: string }[];
};
export type Rollout = KubeObject & { readonly metadata: Managed; readonly status?: RolloutStatus };

type Event = { readonly type: string; readonly object: Rollout & { readonly code?: number } };
type List = { readonly metadata: { readonly resourceVersion: string }; readonly items: readonly Rollout[] };

/** `isNext`: no version of this object between the one that was told before and this one was missed. */
export type Seen = (rollout: Rollout, isNext: boolean) => void;

const retryMs = 500;
const silentMs = 130_000;
const path = pathOf(rolloutType);

/** When the API server took the status, to the second, in milliseconds; undefined: it does not say. */
export const writtenAt = ({ metadata }: Pick<Rollout, 'metadata'>): number | undefined => {
  const times = (metadata.managedFields ?? []).flatMap(({ subresource, time }) =>
    subresource === 'status' && time !== undefined ? [Date.parse(time)] : [],
  );
  return times.length === 0 ? undefined : Math.max(...times);
};

/** Tells every version of every rollout until the signal fires. Nothing of the code under test decides what is told. */
export const watchRollouts = async (api: KubeApi, seen: Seen, signal: AbortSignal): Promise<void> => {
  let version = '';
  const list = async (): Promise<void> => {
    const { metadata, items } = await api.request<List>({ method: 'GET', path, signal });
    for (const item of items) seen(item, false);
    version = metadata.resourceVersion;
  };
  const follow = async (): Promise<void> => {
    const query = { watch: 'true', allowWatchBookmarks: 'true', resourceVersion: version };
    for await (const event of await api.stream({ path, query, silentMs, signal })) {
      const { type, object } = event as Event;
      if (type === 'ERROR') {
        version = '';
        return;
      }
      version = object.metadata.resourceVersion;
      if (type !== 'BOOKMARK' && type !== 'DELETED') seen(object, true);
    }
  };
  while (!signal.aborted) {
    try {
      if (version === '') await list();
      await follow();
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof AdaptletError && error.code === 'KUBE_GONE') version = '';
      await sleep(retryMs);
    }
  }
};
