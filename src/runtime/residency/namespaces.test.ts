import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { versioned } from '../../plan/resources.ts';
import { noShare } from './accounts.ts';
import { never, settle, type World, type WorldShape, world } from './fake-ports.ts';

const keyOf = (name: string) => objectKey(`ns-${name.charAt(0)}`, name);
/** An adapter of 10 bytes in the namespace that its name begins with. */
const adapterOf = (name: string, pinned = false) =>
  versioned(adapterResource(keyOf(name), { uid: name, source: { path: { path: name } }, pinned }));

const start = (names: readonly string[], shape: WorldShape): World => {
  const w = world(shape);
  w.residency.apply(names.map((name) => adapterOf(name)));
  return w;
};
const use = async (w: World, ...names: readonly string[]): Promise<void> => {
  for (const name of names) {
    using _lease = await w.residency.acquire(keyOf(name), { signal: never() });
  }
  await settle();
};
const residents = (w: World, names: readonly string[]): readonly string[] =>
  names.filter((name) => w.residency.state(keyOf(name))?.kind === 'Resident');

const flood = Array.from({ length: 20 }, (_, index) => `b${index}`);

describe('a namespace that asks for one adapter after the other', () => {
  it('puts out its own, and nothing that is guaranteed to another', async () => {
    const modest = ['a0', 'a1', 'a2'];
    const memoryShare = (namespace: string) =>
      namespace === 'ns-a' ? { guarantee: 30, limit: Infinity } : noShare;
    const w = start([...modest, ...flood], { budgetBytes: 50, memoryShare });
    await use(w, ...modest, ...flood, ...flood);
    expect(residents(w, modest)).toEqual(modest);
    expect(residents(w, flood)).toHaveLength(2);
  });

  it('leaves another its part without any policy', async () => {
    const modest = ['a0', 'a1'];
    const w = start([...modest, ...flood], { budgetBytes: 40 });
    await use(w, ...modest, ...flood, ...flood);
    expect(residents(w, modest)).toEqual(modest);
  });

  it('stays within its limit, though there is room', async () => {
    const memoryShare = (namespace: string) => (namespace === 'ns-b' ? { guarantee: 0, limit: 25 } : noShare);
    const w = start(['a0', ...flood], { budgetBytes: 1000, memoryShare });
    await use(w, 'a0', ...flood);
    expect(residents(w, ['a0', ...flood])).toEqual(['a0', 'b18', 'b19']);
    expect(w.residency.usedBy('ns-b')).toBe(20);
  });
});

it('what does not fit into the limit beside what is pinned is refused with the numbers, and when to come again', async () => {
  const memoryShare = () => ({ guarantee: 0, limit: 15 });
  const w = world({ budgetBytes: 100, memoryShare });
  w.residency.apply([adapterOf('a0', true), adapterOf('a1')]);
  await use(w, 'a0');
  const error = await w.residency.acquire(keyOf('a1'), { signal: never() }).catch((e: unknown) => e);
  expect(error).toMatchObject({ code: 'NAMESPACE_ADAPTER_MEMORY', httpStatus: 429, retryAfterMs: 30_000 });
  expect((error as Error).message).toContain(
    'needs 10 bytes of RAM; of the 15 bytes that namespace ns-a may have here it has 10',
  );
  // Once there is room of its own it comes in.
  w.residency.pin(keyOf('a0'), false);
  await use(w, 'a1');
  expect(residents(w, ['a0', 'a1'])).toEqual(['a1']);
});

it('a limit that becomes less is kept once the plan is in force', async () => {
  const share = { guarantee: 0, limit: Infinity };
  const names = ['a0', 'a1', 'a2'];
  const w = start(names, { memoryShare: () => share });
  await use(w, ...names);
  share.limit = 20;
  w.residency.apply(names.map((name) => adapterOf(name)));
  await settle();
  expect(residents(w, names)).toEqual(['a1', 'a2']);
});

it('requests of one namespace that wait for adapters do not make another wait for all of them', async () => {
  const w = start(['a0', ...flood], { budgetBytes: 1000, maxParallelLoads: 1 });
  const order: string[] = [];
  const ask = async (name: string): Promise<void> => {
    using lease = await w.residency.acquire(keyOf(name), { signal: never() });
    order.push(lease.name);
  };
  // On the disk already, so that they wait for their loads.
  const load = w.script.hold('load b0');
  const asked = [...flood, 'a0'].map(ask);
  for (let turn = 0; turn < 5; turn += 1) await settle();
  load.resolve();
  await Promise.all(asked);
  expect(order.indexOf('a0')).toBeLessThan(5);
});

it('of requests that wait for adapters one namespace does not take all places', async () => {
  const w = start(['a0', 'a1', ...flood], { maxWaiting: 4 });
  const fetches = ['a0', 'a1', ...flood].map((name) => w.script.hold(`fetch ${name}`));
  const ended: string[] = [];
  const ask = (name: string) =>
    w.residency.acquire(keyOf(name), { signal: never() }).then(
      () => ended.push(name),
      (error: unknown) => ended.push(`${name} ${(error as { code: string }).code}`),
    );
  const asked = [...flood.slice(0, 5), 'a0', 'a1', 'b9'].map(ask);
  await settle();
  expect(ended.toSorted()).toEqual(['b2', 'b3', 'b4', 'b9'].map((name) => `${name} QUEUE_FULL`));
  for (const fetch of fetches) fetch.resolve();
  await Promise.all(asked);
  expect(ended.filter((one) => !one.includes(' ')).toSorted()).toEqual(['a0', 'a1', 'b0', 'b1']);
});

it('of adapters outside of the plan the namespace with most gives way', async () => {
  const w = world({ maxDynamic: 4 });
  for (const name of ['a0', 'b0', 'b1', 'b2']) {
    w.residency.ensure(adapterOf(name));
    await use(w, name);
  }
  w.residency.ensure(adapterOf('a1'));
  await settle();
  expect(['a0', 'b0', 'b1', 'b2', 'a1'].map((name) => w.residency.state(keyOf(name)) !== undefined)).toEqual([
    true,
    false,
    true,
    true,
    true,
  ]);
});

it('what was loaded for requests of a namespace is told once, and no preload', async () => {
  const w = start(['a0', 'a1', 'b0'], {});
  await w.residency.preload(keyOf('b0'), never());
  await use(w, 'a0', 'a1', 'a0');
  expect([w.residency.takeLoads('ns-a'), w.residency.takeLoads('ns-a')]).toEqual([20, 0]);
  expect(w.residency.takeLoads('ns-b')).toBe(0);
});
