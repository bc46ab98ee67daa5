import { describe, expect, it } from 'vitest';
import type { MemoryLevel } from '../machine/memory-levels.ts';
import { decide, initialState, marginOf, type Part, type State } from './decide.ts';

const mib = 2 ** 20;

const level = (freeMib: number, rest: Partial<MemoryLevel> = {}): MemoryLevel => ({
  name: 'limit',
  own: true,
  limitBytes: 1000 * mib,
  usedBytes: (1000 - freeMib) * mib,
  stalledPercent: 0,
  ...rest,
});
/** Of 1,000 MiB 50 stay free. */
const margin = marginOf(level(0));

const part = (rest: Partial<Record<keyof Part, number>> = {}): Part => ({
  fullBytes: 400 * mib,
  usedBytes: 0,
  sparableBytes: 0,
  leavingBytes: 0,
  leastBytes: 0,
  guaranteedBytes: 0,
  ...Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, value * mib])),
});

type Asked = {
  readonly state?: Partial<State>;
  readonly now?: number;
  readonly levels?: readonly MemoryLevel[];
  readonly kv?: Part;
  readonly adapters?: Part;
};
const decided = ({ state = {}, now = 0, levels = [level(500)], kv = part(), adapters = part() }: Asked) => {
  const { state: after, askedBytes } = decide({ ...initialState, ...state }, { now, levels, kv, adapters });
  return {
    ...after,
    askedMib: askedBytes / mib,
    kvMib: after.kvBytes / mib,
    adapterMib: after.adapterBytes / mib,
  };
};

describe('what budgets become', () => {
  it('is what was given where there is enough, or nobody knows', () => {
    expect(decided({})).toMatchObject({ kvMib: 400, adapterMib: 400, refused: 'nobody', askedMib: 0 });
    expect(decided({ levels: [] })).toMatchObject({ kvMib: 400, adapterMib: 400 });
  });

  it('is no more than the limit leaves, though nothing has to go', () => {
    const asked = { levels: [level(150)], kv: part({ usedBytes: 100 }), adapters: part({ usedBytes: 50 }) };
    expect(decided(asked)).toMatchObject({ kvMib: 200, adapterMib: 150, askedMib: 0 });
  });

  it('goes down to two margins free, first by what is kept of keys and values', () => {
    const kv = part({ usedBytes: 200, sparableBytes: 150 });
    const adapters = part({ usedBytes: 200, sparableBytes: 200 });
    expect(decided({ levels: [level(40)], kv, adapters })).toMatchObject({
      kvMib: 140,
      adapterMib: 200,
      askedMib: 60,
    });
  });

  it('goes on with adapters that nobody uses, and no further', () => {
    const kv = part({ usedBytes: 100, sparableBytes: 20 });
    const adapters = part({ usedBytes: 200, sparableBytes: 30 });
    expect(decided({ levels: [level(10)], kv, adapters })).toMatchObject({
      kvMib: 80,
      adapterMib: 170,
      askedMib: 50,
    });
  });

  it('counts what is on its way out already', () => {
    const adapters = part({ usedBytes: 200, sparableBytes: 100, leavingBytes: 60 });
    expect(decided({ levels: [level(40)], adapters })).toMatchObject({ askedMib: 0, adapterMib: 200 });
  });

  it('is never less than what is guaranteed, and an adapter and a little of keys and values stay', () => {
    const kv = part({ usedBytes: 30, sparableBytes: 30, guaranteedBytes: 70 });
    const adapters = part({ usedBytes: 60, sparableBytes: 60, leastBytes: 35 });
    expect(decided({ levels: [level(0)], kv, adapters })).toMatchObject({
      kvMib: 70,
      adapterMib: 35,
      askedMib: 25,
    });
  });

  it('leaves room for an adapter and a request only as far as there is some', () => {
    const asked = (freeMib: number) =>
      decided({ levels: [level(freeMib)], kv: part(), adapters: part({ leastBytes: 20 }) });
    expect(asked(48)).toMatchObject({ kvMib: 23, adapterMib: 20 });
    expect(asked(30)).toMatchObject({ kvMib: 5, adapterMib: 5 });
    expect(asked(10)).toMatchObject({ kvMib: 0, adapterMib: 0 });
  });

  it('follows the tightest level: a group around its own, or the machine', () => {
    const kv = part({ usedBytes: 100, sparableBytes: 100 });
    expect(decided({ levels: [level(500), level(30), level(400)], kv })).toMatchObject({ askedMib: 70 });
  });

  it('goes down when everything waits for memory, once in ten seconds, unless much is free', () => {
    const kv = part({ usedBytes: 300, sparableBytes: 300 });
    const stalls = [level(120, { stalledPercent: 12 })];
    const first = decided({ levels: stalls, kv, now: 1_000 });
    expect(first).toMatchObject({ askedMib: 50, kvMib: 250 });
    expect(decided({ state: first, levels: stalls, kv, now: 5_000 })).toMatchObject({ askedMib: 0 });
    expect(decided({ state: first, levels: stalls, kv, now: 11_000 })).toMatchObject({ askedMib: 50 });
    expect(decided({ levels: [level(300, { stalledPercent: 90 })], kv })).toMatchObject({ askedMib: 0 });
  });
});

it('of a machine more stays free: kubelets evict pods before the kernel kills', () => {
  const marginMib = (limitMib: number, own: boolean): number =>
    marginOf({ own, limitBytes: limitMib * mib }) / mib;
  expect([512, 2_000, 64_000].map((limit) => marginMib(limit, true))).toEqual([32, 100, 512]);
  expect([512, 2_000, 64_000].map((limit) => marginMib(limit, false))).toEqual([64, 160, 512]);
});

describe('growth', () => {
  const low: Partial<State> = { kvBytes: 100 * mib, adapterBytes: 100 * mib, loweredAt: 0, raisedAt: 0 };

  it('comes 30 seconds after the last time, by a sixteenth, adapters first', () => {
    expect(decided({ state: low, now: 29_999 })).toMatchObject({ kvMib: 100, adapterMib: 100 });
    expect(decided({ state: low, now: 30_000 })).toMatchObject({
      kvMib: 125,
      adapterMib: 125,
      raisedAt: 30_000,
    });
    // As much as is there beyond two margins, for both together.
    const used = { kv: part({ usedBytes: 100 }), adapters: part({ usedBytes: 100 }) };
    expect(decided({ ...used, state: low, now: 30_000, levels: [level(130)] })).toMatchObject({
      adapterMib: 125,
      kvMib: 105,
    });
  });

  it('comes every ten seconds at most', () => {
    expect(decided({ state: { ...low, raisedAt: 55_000 }, now: 60_000 })).toMatchObject({ kvMib: 100 });
  });

  it('does not come into the second margin', () => {
    const used = { kv: part({ usedBytes: 100 }), adapters: part({ usedBytes: 100 }) };
    expect(decided({ ...used, state: low, now: 60_000, levels: [level(100)] })).toMatchObject({
      kvMib: 100,
      adapterMib: 100,
    });
  });

  it('that was in vain is tried again after twice the time', () => {
    const state = { ...low, raisedAt: 30_000 };
    const kv = part({ usedBytes: 100, sparableBytes: 100 });
    const again = decided({ state, now: 40_000, levels: [level(20)], kv });
    expect(again.restMs).toBe(60_000);
    expect(decided({ state, now: 100_000, levels: [level(20)], kv }).restMs).toBe(30_000);
  });
});

describe('requests', () => {
  const refused = (freeMib: number, { state = {}, sparable = 0 } = {}) =>
    decided({ state, levels: [level(freeMib)], kv: part({ usedBytes: 200, sparableBytes: sparable }) })
      .refused;

  it('are refused when nothing is left to let go of: first those that nothing guarantees, at the end all', () => {
    expect(margin).toBe(50 * mib);
    expect(refused(40)).toBe('nobody');
    expect(refused(20)).toBe('unguaranteed');
    expect(refused(20, { sparable: 100 })).toBe('nobody');
    expect(refused(5)).toBe('everybody');
  });

  it('are refused as well when what could leave is what a guarantee keeps: no budget goes below that', () => {
    const adapters = part({ usedBytes: 200, sparableBytes: 200, guaranteedBytes: 200 });
    expect(decided({ levels: [level(5)], adapters })).toMatchObject({
      adapterMib: 200,
      askedMib: 0,
      refused: 'everybody',
    });
  });

  it('are taken again once the margin is free', () => {
    const state = { refused: 'unguaranteed' } as const;
    expect(refused(40, { state })).toBe('unguaranteed');
    expect(refused(51, { state })).toBe('nobody');
  });
});
