import type { Logger } from 'pino';
import type { Revision } from '../../control/revision.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import type { KubeObject, ResourceType } from '../../kube/client/object.ts';
import type { Cache } from '../../kube/informer/cache.ts';
import { createInformer } from '../../kube/informer/informer.ts';
import type { Clock } from '../../time/clock.ts';
import { spaced } from '../../time/spaced.ts';
import type { Collection, ObjectChange, Objects, Read } from './objects.ts';
import { readAdapter, readAnalysis, readPolicy, readRollout, readRoute, readRuntime } from './read.ts';
import {
  adapterType,
  analysisType,
  policyType,
  rolloutType,
  routeType,
  runtimeType,
} from './resource-types.ts';
import { SharedUnderWay } from './under-way.ts';

export type InformerParts = {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
};

const collectionOf = <T>(cache: Cache<Read<T>>): Collection<T> => ({
  get: (key) => cache.get(key),
  list: () => cache.list(),
  onChange: (listener) => cache.onChange((change) => listener(change as ObjectChange<T>)),
});

/**
 * Least milliseconds between two lists of a kind that are read because a runtime has seen more: what a runtime says it
 * has seen is not proved, so runtimes must not decide how often the API server is asked. Less than half of the time for
 * which a runtime waits.
 */
const catchUpMs = 5_000;

/** Our kinds in all namespaces, as this replica sees them. The stack ends the watches. */
export const followObjects = (parts: InformerParts, stack: AsyncDisposableStack): Objects & Synced => {
  const informerOf = <T>(type: ResourceType, project: (raw: KubeObject) => Read<T>) => {
    const logger = parts.logger.child({ kind: type.kind });
    const informer = createInformer({ ...parts, logger, type, project });
    stack.defer(() => informer.close());
    const refresh = spaced(() => informer.refresh(), { clock: parts.clock, gapMs: catchUpMs });
    stack.defer(() => refresh.close());
    return { ...informer, kind: type.kind, catchUp: refresh.ask };
  };
  const underWay = new SharedUnderWay();
  const informers = {
    adapters: informerOf(adapterType, readAdapter),
    rollouts: informerOf(rolloutType, readRollout),
    routes: informerOf(routeType, readRoute),
    policies: informerOf(policyType, readPolicy),
    runtimes: informerOf(runtimeType, (raw) => underWay.of(readRuntime(raw))),
  };
  const analyses = informerOf(analysisType, readAnalysis);
  const planned = Object.values(informers);
  const all = [...planned, analyses];
  for (const informer of all) informer.start();
  const revisionOf = (version: (cache: Cache<unknown>) => bigint): Revision => ({
    adapters: version(informers.adapters.cache),
    rollouts: version(informers.rollouts.cache),
    routes: version(informers.routes.cache),
    runtimes: version(informers.runtimes.cache),
    policies: version(informers.policies.cache),
  });
  return {
    adapters: collectionOf(informers.adapters.cache),
    rollouts: collectionOf(informers.rollouts.cache),
    routes: collectionOf(informers.routes.cache),
    policies: collectionOf(informers.policies.cache),
    runtimes: collectionOf(informers.runtimes.cache),
    analyses: collectionOf(analyses.cache),
    revision: () => revisionOf((cache) => cache.changeVersion),
    seen: () => revisionOf((cache) => cache.resourceVersion),
    catchUp: (needed) => {
      for (const [part, { cache, catchUp }] of Object.entries(informers))
        if (cache.resourceVersion < needed[part as keyof Revision]) catchUp();
    },
    onProgress: (listener) => {
      const ends = planned.flatMap(({ cache }) => [cache.onProgress(listener), cache.onChange(listener)]);
      return () => {
        for (const end of ends) end();
      };
    },
    health: () => {
      for (const { kind, cache } of all) {
        const health = cache.health();
        if (!health.ok) return { ok: false, reason: `${kind}: ${health.reason}` };
      }
      return { ok: true, reason: '' };
    },
    lost: () => {
      for (const { kind, cache } of all) {
        const reason = cache.lost();
        if (reason !== undefined) return `${kind}: ${reason}`;
      }
      return undefined;
    },
    whenSynced: async (signal) => {
      await Promise.all(all.map((informer) => informer.whenSynced(signal)));
    },
    sizes: () => all.map(({ kind, cache }) => ({ kind, count: cache.size, synced: cache.health().ok })),
  };
};

export type Synced = {
  /**
   * Resolves once every collection was listed.
   * @throws the reason of the signal
   */
  whenSynced(signal: AbortSignal): Promise<void>;
  /** Why only a new process can see the API server again; undefined when that is not so. */
  lost(): string | undefined;
  sizes(): readonly { readonly kind: string; readonly count: number; readonly synced: boolean }[];
};
