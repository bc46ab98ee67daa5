import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { MemoryShare } from './accounts.ts';
import { aHolding, aWish } from './room.fixture.ts';
import { type Holding, planRoom, type RoomPlan, type Wish } from './room.ts';

/** Of the namespace that its name begins with. */
const holding = (of: string, bytes: number, rest: Partial<Holding<string>> = {}): Holding<string> =>
  aHolding(of, bytes, { owner: of.charAt(0), ...rest });
const wish = (of: string, bytes: number, rest: Partial<Wish<string>> = {}): Wish<string> =>
  aWish(of, bytes, { owner: of.charAt(0), ...rest });
const shares =
  (given: Readonly<Record<string, Partial<MemoryShare>>>) =>
  (owner: string): MemoryShare => ({ guarantee: 0, limit: Infinity, ...given[owner] });

describe('what is guaranteed to a namespace', () => {
  const guaranteed = shares({ a: { guarantee: 20 } });

  it('stays for the wishes of others, however much they ask for, and leaves for its own', () => {
    const held = [holding('a1', 10), holding('a2', 10, { lastUse: 1 }), holding('b1', 10, { lastUse: 9 })];
    expect(planRoom(30, held, [wish('b2', 10)], guaranteed).evict).toEqual(['b1']);
    expect(planRoom(30, held, [wish('b2', 20)], guaranteed).refuse).toEqual([{ of: 'b2', fixedBytes: 20 }]);
    expect(planRoom(30, held, [wish('a3', 20)], guaranteed).evict).toEqual(['a1', 'a2']);
  });

  it('lets more wishes of another wait than it has room for, and refuses none', () => {
    const held = [holding('a1', 10), ...['b1', 'b2', 'b3'].map((of) => holding(of, 10))];
    const wishes = ['b4', 'b5', 'b6', 'b7', 'b8'].map((of) => wish(of, 10));
    const { evict, refuse } = planRoom(40, held, wishes, shares({ a: { guarantee: 10 } }));
    expect([evict.toSorted(), refuse]).toEqual([['b1', 'b2', 'b3'], []]);
  });

  it('is taken back from others who hold it, also where they pinned it', () => {
    const held = [
      holding('a1', 10),
      holding('b1', 10, { protected: true }),
      holding('b2', 10, { lastUse: 5 }),
    ];
    expect(planRoom(30, held, [wish('a2', 10)], guaranteed).evict).toEqual(['b2']);
    const pinned = [holding('a1', 10), holding('b1', 20, { protected: true })];
    expect(planRoom(30, pinned, [wish('a2', 10)], guaranteed).evict).toEqual(['b1']);
    expect(planRoom(30, pinned, [wish('a2', 15)], guaranteed).evict).toEqual(['a1', 'b1']);
  });
});

describe('the limit of a namespace', () => {
  const limited = shares({ a: { limit: 20 } });

  it('is kept by what leaves of its own, though there is room', () => {
    const held = [holding('a1', 10, { lastUse: 9 }), holding('a2', 10), holding('b1', 10, { priority: -9 })];
    const first = planRoom(100, held, [wish('a3', 10)], limited);
    expect(first).toEqual({ grant: [], evict: ['a2'], refuse: [] });
    const leaving = held.map((one) => (one.of === 'a2' ? { ...one, phase: 'leaving' as const } : one));
    expect(planRoom(100, leaving, [wish('a3', 10)], limited)).toEqual({ grant: [], evict: [], refuse: [] });
    expect(planRoom(100, leaving.slice(0, 1), [wish('a3', 10)], limited).grant).toEqual(['a3']);
  });

  it('refuses what can never fit, and holds up nobody else', () => {
    const held = [holding('a1', 15, { protected: true })];
    expect(planRoom(100, held, [wish('a2', 10), wish('b1', 85)], limited)).toEqual({
      grant: ['b1'],
      evict: [],
      refuse: [{ of: 'a2', fixedBytes: 15, limitBytes: 20 }],
    });
  });

  it('that became less puts out what is above it, without anybody asking for room', () => {
    const held = [holding('a1', 15, { lastUse: 2 }), holding('a2', 10, { lastUse: 1 }), holding('b1', 50)];
    expect(planRoom(100, held, [], limited).evict).toEqual(['a2']);
  });
});

describe('between namespaces without a guarantee', () => {
  it('whoever asks for ever more puts out its own once it holds its part', () => {
    const held = [
      holding('a1', 10, { lastUse: 1 }),
      holding('a2', 10, { lastUse: 2 }),
      holding('b1', 10, { lastUse: 8 }),
      holding('b2', 10, { lastUse: 9 }),
    ];
    expect(planRoom(40, held, [wish('b3', 10)]).evict).toEqual(['b1']);
  });

  it('one that holds more than its part gives it to one that holds less', () => {
    const held = [holding('b1', 10), holding('b2', 10), holding('b3', 10, { lastUse: 9 }), holding('a1', 10)];
    expect(planRoom(40, held, [wish('a2', 10)]).evict).toEqual(['b1']);
  });

  it('the only adapter of one comes in, whatever its size', () => {
    const held = [holding('b1', 10), holding('b2', 10)];
    expect(planRoom(30, held, [wish('a1', 25)]).evict).toEqual(['b1', 'b2']);
  });
});

const owners = ['a', 'b', 'c'] as const;
const anyPhase = fc.constantFrom('loading' as const, 'resident' as const, 'leaving' as const);
const anyHolding = fc.record({
  owner: fc.constantFrom(...owners),
  bytes: fc.integer({ min: 1, max: 40 }),
  phase: anyPhase,
  references: fc.integer({ min: 0, max: 2 }),
  protected: fc.boolean(),
  wanted: fc.boolean(),
  priority: fc.integer({ min: -2, max: 2 }),
  worth: fc.nat(3),
  lastUse: fc.nat(100),
});
const anyWish = fc.record({
  owner: fc.constantFrom(...owners),
  bytes: fc.integer({ min: 1, max: 60 }),
  patient: fc.boolean(),
  overProtected: fc.constant(false),
  wanted: fc.boolean(),
  priority: fc.integer({ min: -2, max: 2 }),
});
const anyShare = fc.record({
  guarantee: fc.nat(40),
  limit: fc.oneof(fc.constant(Infinity), fc.integer({ min: 0, max: 120 })),
});
const anyNode = fc.record({
  held: fc.array(anyHolding, { maxLength: 8 }),
  asked: fc.array(anyWish, { maxLength: 5 }),
  shares: fc.tuple(anyShare, anyShare, anyShare),
  spare: fc.nat(60),
});

type Node = {
  readonly holdings: readonly Holding<string>[];
  readonly wishes: readonly Wish<string>[];
  readonly shareOf: (owner: string) => MemoryShare;
  readonly budget: number;
  readonly plan: RoomPlan<string>;
};

const eachNode = (check: (node: Node) => void): void => {
  fc.assert(
    fc.property(anyNode, ({ held, asked, shares: given, spare }) => {
      const holdings = held.map((h, index) => ({ ...h, of: `h${index}` }));
      const wishes = asked.map((w, index) => ({ ...w, of: `w${index}` }));
      const used = sum(holdings);
      const guaranteed = given.reduce((bytes, { guarantee }) => bytes + guarantee, 0);
      // Guarantees that a node does not have are scaled down before.
      const budget = Math.max(used, guaranteed) + spare;
      const shareOf = (owner: string): MemoryShare => {
        const share = given[owners.indexOf(owner as 'a')] ?? { guarantee: 0, limit: Infinity };
        return { ...share, guarantee: Math.min(share.guarantee, share.limit) };
      };
      check({ holdings, wishes, shareOf, budget, plan: planRoom(budget, holdings, wishes, shareOf) });
    }),
  );
};
const sum = (amounts: readonly { readonly bytes: number }[]): number =>
  amounts.reduce((bytes, one) => bytes + one.bytes, 0);

describe('whatever a node holds and is asked for', () => {
  it('grants stay within the budget and within the limits of their namespaces', () => {
    eachNode(({ holdings, wishes, shareOf, budget, plan }) => {
      const granted = wishes.filter(({ of }) => plan.grant.includes(of));
      expect(sum(holdings) + sum(granted)).toBeLessThanOrEqual(budget);
      for (const owner of owners) {
        const own = granted.filter((one) => one.owner === owner);
        if (own.length === 0) continue;
        const there = sum(holdings.filter((one) => one.owner === owner));
        expect(there + sum(own)).toBeLessThanOrEqual(shareOf(owner).limit);
      }
      const answers = [...plan.grant, ...plan.refuse.map(({ of }) => of)];
      expect(new Set(answers).size).toBe(answers.length);
      expect(new Set(plan.evict).size).toBe(plan.evict.length);
    });
  });

  it('a namespace that asks for nothing loses nothing of what is guaranteed to it', () => {
    eachNode(({ holdings, wishes, shareOf, plan }) => {
      for (const owner of owners) {
        if (wishes.some((one) => one.owner === owner)) continue;
        const stays = holdings.filter((one) => one.owner === owner && one.phase !== 'leaving');
        const before = sum(stays);
        const { guarantee, limit } = shareOf(owner);
        if (before > guarantee || before > limit) continue;
        expect(plan.evict.filter((of) => stays.some((one) => one.of === of))).toEqual([]);
      }
    });
  });

  it('a patient wish within what is guaranteed is never refused where nothing is loading, and nothing more urgent asks', () => {
    eachNode(({ holdings, wishes, shareOf, budget }) => {
      const [first] = wishes;
      if (first === undefined) return;
      const settled = holdings.filter(({ phase }) => phase !== 'loading');
      const own = settled.filter((one) => one.owner === first.owner && one.phase !== 'leaving');
      if (sum(own) + first.bytes > shareOf(first.owner).guarantee) return;
      const plan = planRoom(budget, settled, [{ ...first, patient: true }], shareOf);
      expect(plan.refuse).toEqual([]);
    });
  });

  it('nothing leaves that was pinned, but above a limit or for what is guaranteed to another', () => {
    eachNode(({ holdings, wishes, shareOf, plan }) => {
      for (const victim of holdings.filter((one) => one.protected && plan.evict.includes(one.of))) {
        const own = holdings.filter((one) => one.owner === victim.owner && one.phase !== 'leaving');
        const { guarantee, limit } = shareOf(victim.owner);
        const isAbove = sum(own) > limit;
        const isOwed = wishes.some((one) => one.owner !== victim.owner && shareOf(one.owner).guarantee > 0);
        expect(isAbove || (isOwed && sum(own) > 0 && guarantee >= 0)).toBe(true);
      }
    });
  });
});

it('nothing leaves for a guess, whatever is guaranteed to its namespace', () => {
  const held = [holding('b1', 10), holding('b2', 10, { priority: -9 })];
  const guess = wish('a1', 10, { patient: false, isPrefetch: true });
  const given = shares({ a: { guarantee: 20 } });
  expect(planRoom(20, held, [guess], given)).toMatchObject({ grant: [], evict: [] });
  expect(planRoom(30, held, [guess], given)).toMatchObject({ grant: ['a1'], evict: [] });
});
