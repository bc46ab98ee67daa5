import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import type { KubeApi } from '../../../src/kube/client/api.ts';
import { type KubeObject, pathOf, type ResourceType } from '../../../src/kube/client/object.ts';
import type { Change } from '../../../src/kube/informer/cache.ts';
import { createInformer, type InformerOptions } from '../../../src/kube/informer/informer.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { waitFor } from '../../support/wait.ts';

export const configMaps: ResourceType = {
  group: '',
  version: 'v1',
  kind: 'ConfigMap',
  plural: 'configmaps',
  namespaced: true,
};

const logger = pino({ level: 'silent' });

/** An informer, what it told, and what it asked for. */
export const follow = async (
  api: KubeApi,
  namespace: string,
  options: Partial<InformerOptions<KubeObject>> = {},
  /** When it is closed. */
  whenOver: (close: () => Promise<void>) => void = onTestFinished,
) => {
  let lists = 0;
  let checks = 0;
  let watches = 0;
  const counting: KubeApi = {
    request: (request) => {
      // A list of one object checks how far the server is; pages of lists are longer.
      if (request.query?.['limit'] === '1') checks += 1;
      else lists += 1;
      return api.request(request);
    },
    stream: (request) => {
      watches += 1;
      return api.stream(request);
    },
  };
  const changes: Change<KubeObject>[] = [];
  let progress = 0;
  const informer = createInformer<KubeObject>({
    api: counting,
    type: configMaps,
    namespace,
    clock: systemClock,
    random: Math.random,
    logger,
    project: (raw) => raw,
    ...options,
    timing: { maxDelayMs: 1000, ...options.timing },
  });
  const { cache } = informer;
  cache.onChange((change) => changes.push(change));
  cache.onProgress(() => (progress += 1));
  whenOver(() => informer.close());
  informer.start();
  await informer.whenSynced(AbortSignal.timeout(20_000));
  await waitFor('a watch', () => watches > 0);
  return {
    cache,
    informer,
    changes,
    told: () => changes.map(({ type, key }) => `${type} ${key.split('/').at(-1)}`),
    lists: () => lists,
    checks: () => checks,
    watches: () => watches,
    progress: () => progress,
  };
};

export type Follower = Awaited<ReturnType<typeof follow>>;

/** Changes ConfigMaps of a namespace. */
export const authorOf = (api: KubeApi, namespace: string) => {
  const bodyOf = (name: string, data: Record<string, string>) => ({ metadata: { name }, data });
  const path = (name?: string) => pathOf(configMaps, namespace, name);
  return {
    create: async (name: string, data: Record<string, string> = {}) =>
      await api.request<KubeObject>({ method: 'POST', path: path(), body: bodyOf(name, data) }),
    update: async (name: string, data: Record<string, string>) =>
      await api.request<KubeObject>({ method: 'PUT', path: path(name), body: bodyOf(name, data) }),
    remove: async (name: string) => await api.request({ method: 'DELETE', path: path(name) }),
    list: async () =>
      (await api.request<{ items: KubeObject[] }>({ method: 'GET', path: path() })).items
        .map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`)
        .toSorted(),
  };
};
type Author = ReturnType<typeof authorOf>;

export const held = ({ cache }: { cache: { list: () => readonly KubeObject[] } }) =>
  cache
    .list()
    .map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`)
    .toSorted();

export const converged = async (follower: Follower, { list }: Author): Promise<void> => {
  const wanted = JSON.stringify(await list());
  await waitFor('the cache to hold what the server has', () => JSON.stringify(held(follower)) === wanted);
};

/** Waits until a cache says that it cannot be relied on, and that this is why. */
export const unhealthy = async ({ cache }: Follower, why: string): Promise<void> => {
  await waitFor(`the cache to say ${why}`, () => {
    const health = cache.health();
    return !health.ok && health.reason.includes(why);
  });
};
