import { expect, it } from 'vitest';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { anAdapter } from '../../plan/manifests.fixture.ts';
import { anAdapterState, runtimeKey } from '../testing/fake-fleet.ts';
import { AdapterWorld, digest } from './world.fixture.ts';

const nodes = Array.from({ length: 11 }, (_, at) => `n${at}`);

const refusal = () => new AdaptletError('KUBE_UNAVAILABLE', 'too many requests');

/**
 * How often each of so many Adapters is written in so many seconds, in which a fleet fetches all of them. `refusedFor`: seconds
 * before that in which the API server takes no write.
 */
const writesOf = async (adapters: number, seconds: number, refusedFor = 0): Promise<readonly number[]> => {
  const world = new AdapterWorld().join(...nodes);
  const keys = Array.from({ length: adapters }, (_, at) => objectKey('team-a', `a${at}`));
  for (const key of keys)
    world.cluster.apply(anAdapter({ name: key.slice(7) }, { digest, preload: { tier: 'Memory' } }));
  const writes = new Map(keys.map((key) => [key, 0]));
  const versionOf = (key: ObjectKey) => world.cluster.adapters.server.get(key)?.resourceVersion;
  const look = async (): Promise<void> => {
    world.clock.advance(1000);
    for (const key of keys) {
      const before = versionOf(key);
      const looked = world.controller.reconcile(key, new AbortController().signal);
      if (world.cluster.failures.length > 0) await looked.catch(() => undefined);
      else await looked;
      if (versionOf(key) !== before) writes.set(key, (writes.get(key) ?? 0) + 1);
    }
  };
  const report = (name: string, state: string): void => {
    const said = keys.map(
      (key) => [key, anAdapterState(`Adapter-${key.replace('/', '-')}`, digest, state)] as const,
    );
    world.fleet.report(runtimeKey(name), { adapters: new Map(said) });
  };
  for (const name of nodes) report(name, 'Fetching');
  for (let turn = 0; turn < 40; turn++) await look();
  for (const key of keys) writes.set(key, 0);
  for (let second = 0; second < refusedFor + seconds; second++) {
    const refused = second < refusedFor ? 2 * adapters : 0;
    world.cluster.failures.splice(0, Number.POSITIVE_INFINITY, ...Array.from({ length: refused }, refusal));
    const name = nodes[second % nodes.length] ?? '';
    report(name, Math.floor(second / nodes.length) % 2 === 0 ? 'Stored' : 'Fetching');
    await look();
  }
  return [...writes.values()];
};

it('counts of Adapters that a fleet fetches are written once a second in all, and of each in its turn', async () => {
  const writes = await writesOf(60, 120);
  expect(writes.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(20 + 120);
  expect(Math.min(...writes)).toBeGreaterThanOrEqual(1);
});

it('counts that change while the API server takes no write are written once a second in all when it takes them again', async () => {
  const writes = await writesOf(60, 130, 70);
  expect(writes.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(131);
  expect(Math.min(...writes)).toBeGreaterThanOrEqual(1);
});

it('counts of one Adapter are written each second', async () => {
  const [writes = 0] = await writesOf(1, 100);
  expect(writes).toBeGreaterThanOrEqual(90);
});
