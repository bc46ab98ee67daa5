import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type MemoryShare, noShare } from './accounts.ts';
import { type DiskHolding, type DiskWish, planDisk, planFree } from './disk-plan.ts';

const holding = (of: string, more: Partial<DiskHolding<string>> = {}): DiskHolding<string> => {
  const { bytes = 10 } = more;
  return {
    of,
    owner: of.charAt(0),
    bytes,
    freedBytes: bytes,
    isIdle: true,
    protected: false,
    isWanted: false,
    priority: 0,
    worth: 0,
    lastUse: 0,
    ...more,
  };
};
const wish = (owner: string, more: Partial<DiskWish> = {}): DiskWish => ({
  owner,
  bytes: 10,
  missingBytes: 10,
  patient: true,
  held: false,
  ...more,
});
const shares =
  (of: Readonly<Record<string, Partial<MemoryShare>>>) =>
  (owner: string): MemoryShare => ({ ...noShare, ...of[owner] });

describe('a namespace over its limit', () => {
  const at = { freeBytes: 1000, shareOf: shares({ a: { limit: 30 } }) };
  const [old, busy, pinned] = [
    holding('a-old', { lastUse: 1 }),
    holding('a-busy', { lastUse: 0, isIdle: false }),
    holding('a-pinned', { lastUse: 0, protected: true }),
  ];

  it('loses its own that was used longest ago, not what is in use or pinned, nor what is of others', () => {
    const others = [holding('b', { lastUse: -1 })];
    const plan = planDisk([...others, busy, holding('a-new', { lastUse: 2 }), old], wish('a'), at);
    expect(plan).toEqual({ kind: 'fits', evict: ['a-old'] });
  });

  it('gets nothing more where that is not enough, with the numbers', () => {
    const plan = planDisk([busy, pinned, holding('a-too', { isIdle: false })], wish('a'), at);
    expect(plan).toEqual({ kind: 'limited', heldBytes: 30, limitBytes: 30 });
  });

  it('loses nothing for what nobody waits for', () => {
    const full = ['a1', 'a2', 'a3'].map((name) => holding(name));
    expect(planDisk(full, wish('a', { patient: false }), at)).toMatchObject({ kind: 'limited' });
    expect(planDisk(full, wish('a'), at)).toMatchObject({ kind: 'fits' });
    expect(planDisk(full, wish('b', { patient: false }), at)).toEqual({ kind: 'fits', evict: [] });
  });
});

describe('what came by a guess and nobody used', () => {
  const shareOf = shares({ a: { guarantee: 20 } });
  const guess = holding('a-guess', { priority: -Infinity, isGuess: true });
  const used = ['b1', 'b2'].map((name) => holding(name));

  it('leaves first, whoever has most and whatever is guaranteed to its namespace', () => {
    for (const owner of ['a', 'b', 'c'])
      expect(planDisk([...used, guess], wish(owner), { freeBytes: 0, shareOf })).toEqual({
        kind: 'fits',
        evict: ['a-guess'],
      });
    expect(planFree([...used, guess], 15, { freeBytes: 0, shareOf })).toEqual(['a-guess', 'b1']);
  });

  it('stays while it is in use', () => {
    const busy = { ...guess, isIdle: false };
    expect(planFree([...used, busy], 100, { freeBytes: 0, shareOf })).toEqual(['b1', 'b2']);
  });
});

describe('what is guaranteed to a namespace', () => {
  const shareOf = shares({ a: { guarantee: 20 }, b: { guarantee: 10 } });

  it('gets room from who is most beyond what is guaranteed to it, also what that pinned', () => {
    const holdings = ['b1', 'b2', 'c1', 'c2', 'c3'].map((name) => holding(name));
    expect(planDisk(holdings, wish('a'), { freeBytes: 0, shareOf })).toEqual({ kind: 'fits', evict: ['c1'] });
    const pinned = ['c1', 'c2'].map((name) => holding(name, { protected: true }));
    const plan = planDisk(pinned, wish('a', { bytes: 20, missingBytes: 20 }), { freeBytes: 0, shareOf });
    expect(plan).toEqual({ kind: 'fits', evict: ['c1', 'c2'] });
  });

  it('puts out for what nobody waits for only what others neither pinned nor have in a rollout', () => {
    const pinned = ['c1', 'c2'].map((name) => holding(name, { protected: true }));
    const preload = wish('a', { bytes: 20, missingBytes: 20, patient: false });
    const plan = planDisk([...pinned, holding('c3')], preload, { freeBytes: 0, shareOf });
    expect(plan).toEqual({ kind: 'fits', evict: ['c3'] });
  });

  it('is not undercut by one that is larger than what its namespace has beyond it', () => {
    const own = [holding('b-large', { bytes: 100 }), holding('b-small', { bytes: 10, lastUse: 9 })];
    const at = { freeBytes: 0, shareOf: shares({ a: { guarantee: 200 }, b: { guarantee: 100 } }) };
    const small = wish('a', { bytes: 5, missingBytes: 5 });
    expect(planDisk(own, small, at)).toEqual({ kind: 'fits', evict: ['b-small'] });
    const large = wish('a', { bytes: 50, missingBytes: 50 });
    expect(planDisk(own, large, at)).toEqual({ kind: 'fits', evict: ['b-small'] });
    expect(planDisk([holding('b', { bytes: 101 })], small, at)).toEqual({ kind: 'fits', evict: [] });
  });

  it('never leaves for others, whatever they wait for', () => {
    const own = ['a1', 'a2'].map((name) => holding(name));
    expect(planDisk(own, wish('b'), { freeBytes: 0, shareOf })).toEqual({ kind: 'fits', evict: [] });
  });

  it('and what frees nothing, as another namespace has it too, stays', () => {
    const plan = planDisk([holding('c1', { freedBytes: 0 })], wish('a'), { freeBytes: 0, shareOf });
    expect(plan).toEqual({ kind: 'fits', evict: [] });
  });
});

describe('what is there for requests alone, on a full disk', () => {
  const at = { freeBytes: 0, shareOf: shares({}) };
  const evicted = (holdings: readonly DiskHolding<string>[], asked: DiskWish, shareOf = at.shareOf) =>
    planDisk(holdings, asked, { freeBytes: 0, shareOf });

  it('leaves for what comes, what was used longest ago first', () => {
    const own = [holding('a1', { lastUse: 2 }), holding('a2', { lastUse: 1 }), holding('a3', { lastUse: 3 })];
    expect(evicted(own, wish('a'))).toEqual({ kind: 'fits', evict: ['a2'] });
    expect(evicted(own, wish('a', { bytes: 15, missingBytes: 15 }))).toMatchObject({ evict: ['a2', 'a1'] });
    expect(evicted(own, wish('a', { patient: false }))).toMatchObject({ evict: ['a2'] });
  });

  it('stays where it is in use, pinned, or what the plan wants on the disk', () => {
    const needed = [
      holding('a-busy', { isIdle: false }),
      holding('a-pinned', { protected: true }),
      holding('a-history', { isWanted: true }),
    ];
    expect(evicted(needed, wish('a', { held: true }))).toEqual({ kind: 'fits', evict: [] });
    expect(evicted(needed, wish('b', { held: true }))).toEqual({ kind: 'fits', evict: [] });
  });

  it('leaves of the namespace with most, the one that comes included: a flood takes its own', () => {
    const flood = [1, 2, 3].map((n) => holding(`a${n}`, { lastUse: 9 + n }));
    const quiet = holding('b', { lastUse: 0 });
    expect(evicted([quiet, ...flood], wish('a'))).toMatchObject({ evict: ['a1'] });
    expect(evicted([quiet, ...flood], wish('b'))).toMatchObject({ evict: ['a1'] });
    expect(evicted([quiet, ...flood], wish('c'))).toMatchObject({ evict: ['a1'] });
    const busy = flood.map((one) => ({ ...one, isIdle: false }));
    expect(evicted([quiet, ...busy], wish('a'))).toMatchObject({ evict: [] });
  });

  it('leaves of who has less for a rollout alone, and never below what is guaranteed', () => {
    const large = holding('a-stable', { bytes: 90, protected: true });
    const quiet = holding('b', { lastUse: 0 });
    expect(evicted([large, quiet], wish('a'))).toMatchObject({ evict: [] });
    expect(evicted([large, quiet], wish('a', { held: true }))).toMatchObject({ evict: ['b'] });
    const guaranteed = shares({ b: { guarantee: 10 } });
    expect(evicted([large, quiet], wish('a', { held: true }), guaranteed)).toMatchObject({ evict: [] });
  });

  it('stays where all of it would be too little', () => {
    expect(evicted([holding('a')], wish('b', { bytes: 11, missingBytes: 11 }))).toMatchObject({ evict: [] });
  });

  it('leaves beyond the high mark, of whoever has most, until the low one', () => {
    const all = ['a1', 'a2', 'a3', 'b1'].map((name, lastUse) => holding(name, { lastUse }));
    const kept = holding('a-stable', { protected: true });
    expect(planFree([kept, ...all], 20, at)).toEqual(['a1', 'a2']);
    expect(planFree([kept, ...all], 1000, at)).toEqual(['a1', 'a2', 'a3', 'b1']);
  });
});

it('for any holdings: limits are kept, nobody loses to others what is guaranteed to it, nor what it pinned to a preload', () => {
  const owner = fc.constantFrom('a', 'b', 'c');
  const bytes = fc.integer({ min: 1, max: 20 });
  const share = fc.record({ guarantee: fc.nat(40), more: fc.nat(60) });
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          owner,
          bytes,
          isIdle: fc.boolean(),
          protected: fc.boolean(),
          isWanted: fc.boolean(),
          lastUse: fc.nat(9),
        }),
        { maxLength: 12 },
      ),
      fc.record({ owner, bytes, patient: fc.boolean(), held: fc.boolean() }),
      fc.record({ a: share, b: share, c: share }),
      fc.nat(30),
      (given, asked, sharesOf, freeBytes) => {
        const holdings = given.map((one, index) =>
          holding(`${one.owner}${index}`, { ...one, freedBytes: one.bytes }),
        );
        const shareOf = (of: string): MemoryShare => {
          const { guarantee, more } = sharesOf[of as 'a'];
          return { guarantee, limit: guarantee + more };
        };
        const plan = planDisk(holdings, { ...asked, missingBytes: asked.bytes }, { freeBytes, shareOf });
        if (plan.kind === 'limited') return;
        const victims = holdings.filter(({ of }) => plan.evict.includes(of));
        expect(victims.every(({ isIdle }) => isIdle)).toBe(true);
        const heldBy = (of: string, all: readonly DiskHolding<string>[]): number =>
          all.reduce((sum, one) => sum + (one.owner === of ? one.bytes : 0), 0);
        const left = holdings.filter((one) => !victims.includes(one));
        expect(heldBy(asked.owner, left) + asked.bytes).toBeLessThanOrEqual(shareOf(asked.owner).limit);
        for (const of of ['a', 'b', 'c'].filter((one) => one !== asked.owner)) {
          const lost = victims.filter((one) => one.owner === of);
          if (lost.length > 0) expect(heldBy(of, left)).toBeGreaterThanOrEqual(shareOf(of).guarantee);
          if (!asked.patient) expect(lost.some((one) => one.protected)).toBe(false);
        }
      },
    ),
  );
});
