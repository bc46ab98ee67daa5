import { describe, expect, it } from 'vitest';
import { type Digest, objectKey } from '../../api/names.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { versioned } from '../../plan/resources.ts';
import { noShare } from './accounts.ts';
import { never, settle, type World, world } from './fake-ports.ts';

const namespaces = 10;
const adapters = 100;

/** Adapters of many namespaces that are on the disk, with 5 bytes each, and the number of looks at it since. */
const node = async (limit: () => number): Promise<World & { readonly looks: () => number }> => {
  const disk = new Map<Digest, number>();
  let looks = 0;
  const has = disk.has.bind(disk);
  // Of `stored`, and of nothing else of these ports.
  disk.has = (digest) => {
    looks++;
    return has(digest);
  };
  const w = world({ disk, diskShare: () => ({ ...noShare, limit: limit() }), budgetBytes: 1e6 });
  w.residency.apply(resources());
  for (let turn = 0; turn < 200; turn++) await settle();
  expect(disk.size).toBe(adapters);
  looks = 0;
  return { ...w, looks: () => looks };
};
const resources = (count = adapters) =>
  Array.from({ length: count }, (_, n) =>
    versioned(
      adapterResource(objectKey(`ns-${n % namespaces}`, `a${n}`), {
        uid: `a${n}`,
        source: { path: { path: `a${n}` } },
        tier: 'Disk',
      }),
    ),
  );

describe('the disk of a node with many adapters in many namespaces', () => {
  it('is looked at once for each of them with each plan', async () => {
    const w = await node(() => 5 * adapters);
    w.residency.apply(resources());
    await settle();
    expect(w.looks()).toBeGreaterThan(0);
    expect(w.looks()).toBeLessThan(3 * adapters);
  });

  it('is looked at for those of its own namespace alone when one comes that has room', async () => {
    const w = await node(() => 5 * adapters);
    const key = objectKey('ns-1', 'new');
    w.residency.ensure(
      versioned(adapterResource(key, { uid: 'new', source: { path: { path: 'new' } }, tier: 'None' })),
    );
    using _lease = await w.residency.acquire(key, { signal: never() });
    await settle();
    expect(w.looks()).toBeLessThan(adapters / 2);
  });

  it('is looked at once more for all that leave it for a limit', async () => {
    let limit = 5 * adapters;
    const w = await node(() => limit);
    limit = 25;
    w.residency.apply(resources());
    for (let turn = 0; turn < 200; turn++) await settle();
    expect(w.disk.size).toBe(adapters / 2);
    // Each that leaves is asked whether another adapter has what it had.
    expect(w.looks()).toBeLessThan(20 * adapters);
  });
});
