import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { aHolding as holding, aWish as wish } from './room.fixture.ts';
import { type Holding, planRoom } from './room.ts';

it('what is free is granted without evicting anyone', () => {
  expect(planRoom(30, [holding('a', 10)], [wish('b', 20)])).toEqual({ grant: ['b'], evict: [], refuse: [] });
});

it('victims are chosen by priority, then by last use, and no more of them than needed', () => {
  const held = [
    holding('high', 10, { priority: 5, lastUse: 1 }),
    holding('recent', 10, { lastUse: 9 }),
    holding('old', 10, { lastUse: 2 }),
  ];
  expect(planRoom(30, held, [wish('b', 10)]).evict).toEqual(['old']);
  expect(planRoom(30, held, [wish('b', 20)]).evict).toEqual(['old', 'recent']);
});

it('of one priority the least worth leaves first, whenever it was used', () => {
  const held = [
    holding('dear', 10, { worth: 2, lastUse: 1 }),
    holding('cheap', 10, { worth: 1, lastUse: 9 }),
    holding('cheap and old', 10, { worth: 1, lastUse: 2 }),
    holding('cheap and important', 10, { worth: 0, priority: 1 }),
  ];
  expect(planRoom(40, held, [wish('b', 30)]).evict).toEqual(['cheap and old', 'cheap', 'dear']);
});

it('what is referenced drains only when the unreferenced are not enough', () => {
  const held = [holding('busy', 10, { references: 1, priority: -5 }), holding('idle', 10, { priority: 9 })];
  expect(planRoom(20, held, [wish('b', 10)]).evict).toEqual(['idle']);
  expect(planRoom(20, held, [wish('b', 20)]).evict).toEqual(['idle', 'busy']);
});

it('what is protected stays, and the refusal says how much that is', () => {
  const held = [holding('stable', 20, { protected: true }), holding('idle', 5)];
  expect(planRoom(30, held, [wish('b', 15)])).toEqual({
    grant: [],
    evict: [],
    refuse: [{ of: 'b', fixedBytes: 20 }],
  });
});

it('with a budget for one adapter the protected step down, after everyone else', () => {
  const held = [holding('stable', 20, { protected: true, priority: -9 }), holding('idle', 5)];
  expect(planRoom(30, held, [wish('b', 20, { overProtected: true })]).evict).toEqual(['idle', 'stable']);
  expect(planRoom(30, held, [wish('b', 5, { overProtected: true })]).evict).toEqual([]);
});

it('a preload puts out only what is idle and has a weaker claim', () => {
  const preload = wish('b', 10, { patient: false, wanted: true, priority: 1 });
  expect(planRoom(10, [holding('a', 10, { priority: 9 })], [preload]).evict).toEqual(['a']);
  expect(planRoom(10, [holding('a', 10, { references: 1 })], [preload]).refuse).toHaveLength(1);
  expect(planRoom(10, [holding('a', 10, { wanted: true, priority: 1 })], [preload]).refuse).toHaveLength(1);
  expect(planRoom(10, [holding('a', 10, { wanted: true, priority: 0 })], [preload]).evict).toEqual(['a']);
});

it('a small wish passes a big one that waits for a drain only when both fit together', () => {
  const draining = [holding('a', 80, { phase: 'leaving', references: 1 })];
  expect(planRoom(100, draining, [wish('big', 90), wish('small', 10)]).grant).toEqual(['small']);
  expect(planRoom(100, draining, [wish('big', 90), wish('small', 11)]).grant).toEqual([]);
});

it('one that waits for a load to end keeps those behind from taking its bytes', () => {
  const loading = [holding('a', 60, { phase: 'loading' })];
  const plan = planRoom(100, loading, [wish('big', 90), wish('small', 10)]);
  expect(plan).toEqual({ grant: [], evict: [], refuse: [] });
});

it('who finds everything claimed by the more urgent waits: what these get can be had after them', () => {
  const idle = [holding('a', 10), holding('b', 10)];
  const wishes = ['c', 'd', 'e', 'f'].map((of) => wish(of, 10));
  expect(planRoom(20, idle, wishes)).toEqual({ grant: [], evict: ['a', 'b'], refuse: [] });
  const pinned = [holding('a', 10), holding('b', 10, { protected: true })];
  expect(planRoom(20, pinned, [wish('c', 10), wish('d', 20)]).refuse).toEqual([{ of: 'd', fixedBytes: 10 }]);
});

const anyHolding = fc.record({
  owner: fc.constant('a'),
  bytes: fc.integer({ min: 1, max: 40 }),
  phase: fc.constantFrom('loading', 'resident', 'leaving'),
  references: fc.integer({ min: 0, max: 2 }),
  protected: fc.boolean(),
  wanted: fc.boolean(),
  priority: fc.integer({ min: -2, max: 2 }),
  worth: fc.nat(3),
  lastUse: fc.nat(100),
});
const anyWish = fc.record({
  owner: fc.constant('a'),
  bytes: fc.integer({ min: 1, max: 60 }),
  patient: fc.boolean(),
  overProtected: fc.constant(false),
  wanted: fc.boolean(),
  priority: fc.integer({ min: -2, max: 2 }),
});

it('grants never exceed what is free, victims are never protected, each wish has at most one answer', () => {
  fc.assert(
    fc.property(
      fc.array(anyHolding, { maxLength: 6 }),
      fc.array(anyWish, { maxLength: 5 }),
      (held, asked) => {
        const holdings = held.map((h, of) => ({ ...h, of: `h${of}` })) as Holding<string>[];
        const wishes = asked.map((w, of) => ({ ...w, of: `w${of}` }));
        const used = holdings.reduce((sum, h) => sum + h.bytes, 0);
        const budget = used + 30;
        const { grant, evict, refuse } = planRoom(budget, holdings, wishes);
        const granted = wishes.filter((w) => grant.includes(w.of)).reduce((sum, w) => sum + w.bytes, 0);
        expect(used + granted).toBeLessThanOrEqual(budget);
        for (const of of evict) {
          const victim = holdings.find((h) => h.of === of);
          expect(victim?.protected).toBe(false);
          expect(victim?.phase).toBe('resident');
        }
        expect(new Set(evict).size).toBe(evict.length);
        const answers = [...grant, ...refuse.map((r) => r.of)];
        expect(new Set(answers).size).toBe(answers.length);
      },
    ),
  );
});

it('whatever the worth: no one in use leaves for a request while someone idle of any priority stays, and no one of higher priority before lower', () => {
  fc.assert(
    fc.property(
      fc.array(anyHolding, { maxLength: 8 }),
      fc.integer({ min: 1, max: 60 }),
      fc.nat(30),
      (held, bytes, free) => {
        const holdings = held.map((h, of) => ({ ...h, of: `h${of}` })) as Holding<string>[];
        const budget = holdings.reduce((sum, h) => sum + h.bytes, 0) + free;
        const { evict } = planRoom(budget, holdings, [wish('b', bytes)]);
        const leaves = holdings.filter(({ of }) => evict.includes(of));
        const stays = holdings.filter((h) => h.phase === 'resident' && !h.protected && !evict.includes(h.of));
        for (const victim of leaves) {
          expect(victim.protected).toBe(false);
          for (const other of stays) {
            if (victim.references > 0) expect(other.references).toBeGreaterThan(0);
            if (victim.references > 0 !== other.references > 0) continue;
            expect(victim.priority).toBeLessThanOrEqual(other.priority);
            if (victim.priority === other.priority) expect(victim.worth).toBeLessThanOrEqual(other.worth);
          }
        }
      },
    ),
  );
});
