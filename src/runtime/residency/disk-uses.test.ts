import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { adapterResource } from '../../plan/resources.fixture.ts';
import { versioned } from '../../plan/resources.ts';
import { DiskUses, maxRemembered, type RememberedUses } from './disk-uses.ts';
import { evictionPolicyNames } from './eviction-policies.ts';
import { never, settle, type World, type WorldShape, world } from './fake-ports.ts';

/** What the next process reads. */
const readBack = (uses: RememberedUses): RememberedUses => JSON.parse(JSON.stringify(uses));
const worth = ({ policy }: DiskUses, key: string): number => policy.worth({ key, bytes: 10, reloadMs: 10 });

it.each(evictionPolicyNames)('%s: what was used keeps its worth and its order over a restart', (name) => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ used: fc.nat(30) }),
      fc.record({ touched: fc.nat(30) }),
      fc.record({ divided: fc.nat(200) }),
    ),
    { maxLength: 300 },
  );
  fc.assert(
    fc.property(steps, (all) => {
      const before = new DiskUses(name);
      for (const step of all)
        if ('used' in step) before.used(`${step.used}`);
        else if ('touched' in step) before.touched(`${step.touched}`);
        else before.policy.divided(step.divided);
      const after = new DiskUses(name, readBack(before.remembered()));
      const keys = Array.from({ length: 31 }, (_, i) => `${i}`);
      for (const key of keys) expect(worth(after, key)).toBe(worth(before, key));
      const inOrder = (uses: DiskUses) => keys.toSorted((a, b) => uses.lastUse(a) - uses.lastUse(b));
      expect(inOrder(after)).toEqual(inOrder(before));
      expect(after.remembered()).toEqual(before.remembered());
    }),
  );
});

it('what is written down is bounded: of more the least recently used are left out', () => {
  const uses = new DiskUses('hit-density');
  const name = (i: number) => `${'n'.repeat(63)} sha256:${`${i}`.padStart(64, '0')}`;
  for (let i = 0; i < maxRemembered + 1_000; i += 1) uses.used(name(i));
  const { names, policy } = uses.remembered();
  expect([names.length, policy?.histories.length]).toEqual([maxRemembered, maxRemembered]);
  expect([names[0], names.at(-1)]).toEqual([name(1_000), name(maxRemembered + 999)]);
  expect(JSON.stringify(uses.remembered()).length).toBeLessThan(1_000_000);
});

it('another policy than before goes on with the order', () => {
  const density = new DiskUses('hit-density');
  for (const name of ['a', 'b', 'a']) density.used(name);
  const lru = new DiskUses('lru', readBack(density.remembered()));
  expect(lru.lastUse('a')).toBeGreaterThan(lru.lastUse('b'));
  const again = new DiskUses('hit-density', readBack(lru.remembered()));
  expect(again.lastUse('a')).toBeGreaterThan(again.lastUse('b'));
  expect(worth(again, 'a')).toBe(0);
});

describe.each(evictionPolicyNames)('%s: a node that was restarted with a full disk', (evictionPolicy) => {
  const keyOf = (name: string) => objectKey('team', name);
  const adapterOf = (name: string) =>
    versioned(adapterResource(keyOf(name), { uid: name, source: { oci: { image: name } }, tier: 'None' }));
  const ask = async (w: World, names: string): Promise<void> => {
    for (const name of names.split(' ')) {
      w.residency.ensure(adapterOf(name));
      using _lease = await w.residency.acquire(keyOf(name), { signal: never() });
      await settle();
    }
  };
  /** Its disk has room for four artifacts. */
  const start = (former?: World): World => {
    const disk = former?.disk ?? new Map();
    const shape: WorldShape = {
      budgetBytes: 1000,
      evictionPolicy,
      disk,
      diskFree: () => 20 - 5 * disk.size,
      maxDynamic: 8,
      ...(former === undefined
        ? { grants: new Set() }
        : {
            resolved: former.resolutions,
            grants: new Set(names.map((name) => `team ${former.digest(name)}`)),
            usedBefore: readBack(former.residency.diskUses.remembered()),
          }),
    };
    const w = world(shape);
    for (const name of names) w.digest(name);
    return w;
  };
  const names = ['often', 'late', 'seldom', 'once', 'new'];
  const left = (w: World) => names.filter((name) => w.disk.has(w.digest(name)));

  it.each([
    ['planned', (w: World) => w.residency.apply(names.map(adapterOf))],
    ['of single users', (w: World) => w.residency.apply([])],
  ])('puts out the adapter that was used least, and not the ones that are used: %s', async (_, plan) => {
    const before = start();
    plan(before);
    // By order as by counts: `once` is the least, `seldom` the next.
    await ask(before, 'once often seldom often seldom often late often late often late');
    const after = start(before);
    plan(after);
    await ask(after, 'new');
    expect(left(after)).toEqual(['often', 'late', 'seldom', 'new']);
    await ask(after, 'new once');
    expect(left(after)).toEqual(['often', 'late', 'once', 'new']);
  });
});
