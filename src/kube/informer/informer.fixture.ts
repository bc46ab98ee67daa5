import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { FakeClock } from '../../time/fake-clock.ts';
import type { KubeObject } from '../client/object.ts';
import { FakeCollection, settle, things } from '../testing/fake-collection.ts';
import type { Change } from './cache.ts';
import { createInformer } from './informer.ts';

const logger = pino({ level: 'silent' });

/** An informer of a model of the API server, with everything that it told. The test ends it. */
export const createFollower = (server = new FakeCollection()) => {
  const clock = new FakeClock();
  const changes: Change<KubeObject>[] = [];
  const versions: bigint[] = [];
  let projected = 0;
  const informer = createInformer<KubeObject>({
    api: server,
    type: things,
    namespace: 'n',
    clock,
    random: () => 0,
    logger,
    timing: { pageSize: 2 },
    project: (raw) => {
      projected += 1;
      return raw;
    },
    indexes: { size: ({ spec }) => [String((spec as { size?: number }).size ?? 0)] },
  });
  const { cache } = informer;
  cache.onChange((change) => {
    changes.push(change);
    versions.push(cache.resourceVersion);
  });
  cache.onProgress((version) => versions.push(version));
  onTestFinished(() => informer.close());
  return { server, clock, informer, cache, changes, versions, projected: () => projected };
};

/** The same, after its first list. */
export const started = async (server?: FakeCollection) => {
  const parts = createFollower(server);
  parts.informer.start();
  await settle();
  return parts;
};

export const told = (changes: readonly Change<KubeObject>[]) =>
  changes.map(({ type, key }) => `${type} ${key}`);
