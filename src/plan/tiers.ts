import type { PreloadTier } from '../api/adapter.ts';
import { type ObjectKey, objectKey } from '../api/names.ts';
import type { AdapterObject, RolloutObject } from '../api/objects.ts';
import type { RolloutStatus } from '../api/rollout-status.ts';
import { selects } from '../api/selector.ts';
import { assignmentOf } from '../rollout/groups/assignment.ts';

/** The Adapters of a plan, as rollouts look them up. */
export type Adapters = Pick<ReadonlyMap<ObjectKey, AdapterObject>, 'get'>;

/** What the rollouts of a runtime ask of one adapter. */
export type Want = { readonly tier: PreloadTier; readonly held: boolean };

const nothing: Want = { tier: 'None', held: false };
const order: readonly PreloadTier[] = ['None', 'Disk', 'Memory'];

const higher = (a: PreloadTier, b: PreloadTier): PreloadTier =>
  order.indexOf(a) >= order.indexOf(b) ? a : b;

/** Whether a rollout has its canary loaded on a runtime, by its status. */
type IsLoaded = (status: RolloutStatus, rolloutUid: string) => boolean;

export const loadedAt =
  (runtime: { readonly key?: string; readonly labels: Readonly<Record<string, string>> }): IsLoaded =>
  (status, rolloutUid) =>
    assignmentOf(status, rolloutUid, { key: '', ...runtime }).isLoaded;

/**
 * Stable and a canary under way are held in memory. The adapter that a rollout is asked for is brought to memory before anything
 * is bound to it. Former stables stay on disk, as many as the history limit says: a rollback never downloads.
 *
 * A rollout in groups brings its canary to the memory of those that have begun, and to the disk of all others: what kills
 * a node when it is loaded kills none of them.
 */
export const wantsOfRollouts = (
  rollouts: readonly RolloutObject[],
  adapters: Adapters,
  isLoaded: IsLoaded,
): ReadonlyMap<ObjectKey, Want> => {
  const wants = new Map<ObjectKey, Want>();
  for (const { metadata, spec, status } of rollouts) {
    const want = (name: string, asked: Want): void => {
      const key = objectKey(metadata.namespace, name);
      const present = wants.get(key) ?? nothing;
      wants.set(key, { tier: higher(present.tier, asked.tier), held: present.held || asked.held });
    };
    if (status?.stable !== undefined) want(status.stable.adapter, { tier: 'Memory', held: true });
    if (status?.canary !== undefined) {
      // A canary that was given up serves nobody: it stays near for a retry, but not in anybody's way.
      const isHeld = isLoaded(status, metadata.uid);
      want(status.canary.adapter, isHeld ? { tier: 'Memory', held: true } : { tier: 'Disk', held: false });
    }
    // What was given up is not brought to memory again; a new object of that name has another uid and is.
    const next = adapters.get(objectKey(metadata.namespace, spec.adapter));
    if (next !== undefined && next.metadata.uid !== status?.abort?.uid) {
      // The first one is held as a stable would be: adapters that are merely preloaded must not keep it out.
      const isFirst = status?.stable === undefined;
      const isForGroups = spec.groups !== undefined || status?.groups !== undefined;
      want(spec.adapter, { tier: isForGroups && !isFirst ? 'Disk' : 'Memory', held: isFirst });
    }
    for (const former of status?.history.slice(0, spec.revisionHistoryLimit) ?? []) {
      want(former.adapter, { tier: 'Disk', held: false });
    }
  }
  return wants;
};

/** The least tier that this runtime should hold the adapter at. */
export const tierOf = (
  adapter: AdapterObject,
  want: Want | undefined,
  labels: Readonly<Record<string, string>>,
): PreloadTier => {
  const { tier, runtimeSelector } = adapter.spec.preload;
  return higher(selects(runtimeSelector, labels) ? tier : 'None', want?.tier ?? 'None');
};
