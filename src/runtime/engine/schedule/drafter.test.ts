import { describe, expect, it } from 'vitest';
import { StepCost } from './draft-length.ts';
import { DraftOdds, kindOf } from './draft-odds.ts';
import { Drafter, type DraftOwner, maxDraft } from './drafter.ts';

const costOf = (slope: number): StepCost => {
  const cost = new StepCost();
  for (let step = 0; step < 3; step += 1) cost.ran(1, 100);
  for (let step = 0; step < 16; step += 1) cost.ran(2, 100 * (1 + slope));
  return cost;
};
/** Further tokens cost next to nothing. */
const cheap = costOf(0.01);

type Owner = DraftOwner & { readonly ids: number[] };
const ownerOf = (ids: readonly number[], more: Partial<DraftOwner> = {}): Owner => ({
  kvKey: 'one',
  shares: true,
  promptTokens: ids.length,
  ...more,
  ids: [...ids],
});

/** An answer that is given, in as many steps as it takes. */
const answer = (drafter: Drafter, owner: Owner, ids: readonly number[]): number => {
  let steps = 0;
  for (let at = 0; at < ids.length; steps += 1) {
    const draft = drafter.draft(owner, ids.length - at - 1, cheap);
    let given = 1;
    while (given <= draft.tokens.length && draft.tokens[given - 1] === ids[at + given - 1]) given += 1;
    const came = ids.slice(at, at + given);
    owner.ids.push(...came);
    drafter.came(owner, draft, came);
    at += given;
  }
  return steps;
};

const numbers = (from: number, count: number): readonly number[] =>
  Array.from({ length: count }, (_, at) => from + at);

describe('a draft', () => {
  it('is what came after the same words in the prompt', () => {
    const drafter = new Drafter();
    const owner = ownerOf([...numbers(10, 20), 5, 6, ...numbers(10, 8)]);
    const { tokens } = drafter.draft(owner, maxDraft, cheap);
    expect(tokens.length).toBeGreaterThan(2);
    expect(tokens).toEqual(numbers(18, tokens.length));
  });

  it('is what came in the answer so far, round and round as well', () => {
    const drafter = new Drafter();
    const steps = answer(
      drafter,
      ownerOf([1]),
      Array.from({ length: 60 }, (_, at) => 10 + (at % 3)),
    );
    expect(steps).toBeLessThan(25);
  });

  it('is no longer than asked for, and none where the cost is not known', () => {
    const owner = ownerOf([...numbers(10, 20), ...numbers(10, 8)]);
    expect(new Drafter().draft(owner, 1, cheap).tokens).toEqual([18]);
    expect(new Drafter().draft(owner, 0, cheap).tokens).toEqual([]);
    expect(new Drafter().draft(owner, 8, new StepCost()).tokens).toEqual([]);
  });

  it('is of an earlier answer of the same key, and of no other', () => {
    const drafter = new Drafter();
    const said = numbers(100, 30);
    const first = ownerOf([1, 2, 3]);
    expect(answer(drafter, first, said)).toBe(30);
    // Not while it runs.
    expect(answer(drafter, ownerOf([1, 2, 3]), said)).toBe(30);
    drafter.ended(first);
    expect(answer(drafter, ownerOf([1, 2, 3], { kvKey: 'two' }), said)).toBe(30);
    expect(answer(drafter, ownerOf([1, 2, 3], { shares: false }), said)).toBe(30);
    expect(answer(drafter, ownerOf([1, 2, 3]), said)).toBeLessThan(15);
  });

  it('is still of earlier answers after many requests that share nothing', () => {
    const drafter = new Drafter();
    const first = ownerOf([1, 2, 3]);
    answer(drafter, first, numbers(100, 30));
    drafter.ended(first);
    for (let other = 0; other < 100; other += 1) {
      const owner = ownerOf([1, 2, 3], { kvKey: `id ${other}`, shares: false });
      answer(drafter, owner, [4]);
      drafter.ended(owner);
    }
    expect(answer(drafter, ownerOf([1, 2, 3]), numbers(100, 30))).toBeLessThan(15);
  });

  it('is nothing of the answer of one that shares nothing, though its key came again', () => {
    const drafter = new Drafter();
    const first = ownerOf([1, 2, 3], { shares: false });
    answer(drafter, first, numbers(100, 30));
    drafter.ended(first);
    expect(answer(drafter, ownerOf([1, 2, 3]), numbers(100, 30))).toBe(30);
  });

  it('is none where guesses of its kind were wrong, though they were not run', () => {
    const drafter = new Drafter();
    const owner = ownerOf([1]);
    const lengths: number[] = [];
    const say = (id: number, most: number): void => {
      const draft = drafter.draft(owner, most, cheap);
      owner.ids.push(id);
      drafter.came(owner, draft, [id]);
    };
    // Six words that were said before, and something else after them each time.
    for (let time = 0; time < 40; time += 1) {
      for (const half of [0, 1]) {
        for (const id of numbers(100 * (time + 1), 6)) say(id, 0);
        if (half === 1) lengths.push(drafter.draft(owner, maxDraft, costOf(0.2)).tokens.length);
        say(10_000 + 2 * time + half, 0);
      }
    }
    expect(lengths[0]).toBeGreaterThan(0);
    expect(lengths.slice(-10)).toEqual(numbers(0, 10).map(() => 0));
  });

  it('is of the last answers, of the last keys: what is remembered is bounded', () => {
    const drafter = new Drafter();
    const tell = (kvKey: string, from: number): void => {
      const owner = ownerOf([1], { kvKey });
      owner.ids.push(...numbers(from, 500));
      drafter.ended(owner);
    };
    const knows = (kvKey: string, from: number): boolean =>
      drafter.draft(ownerOf([from, from + 1, from + 2], { kvKey }), 4, cheap).expected.length > 0;
    for (let time = 0; time < 20; time += 1) tell('one', 1000 * time);
    expect(knows('one', 19_000)).toBe(true);
    expect(knows('one', 17_000)).toBe(true);
    expect(knows('one', 0)).toBe(false);
    for (let key = 0; key < 64; key += 1) tell(`key ${key}`, 1000);
    expect(knows('one', 19_000)).toBe(false);
    expect(knows('key 63', 1000)).toBe(true);
  });
});

describe('the odds of a guess', () => {
  const guess = { token: 1, length: 3, places: 1, votes: 1 };
  const kind = kindOf('own', guess);

  it('are cautious at first, grow with what was in common, and become what was seen', () => {
    const odds = new DraftOdds();
    const first = odds.of(kind, guess);
    expect(first).toBeLessThan(odds.of(kindOf('own', { ...guess, length: 6 }), { ...guess, length: 6 }));
    for (let time = 0; time < 20; time += 1) odds.saw(kind, true);
    expect(odds.of(kind, guess)).toBeGreaterThan(0.9);
    for (let time = 0; time < 60; time += 1) odds.saw(kind, false);
    expect(odds.of(kind, guess)).toBeLessThan(0.2);
  });

  it('are of a kind: by source, length and agreement', () => {
    const kinds = [
      kindOf('own', guess),
      kindOf('earlier', guess),
      kindOf('own', { ...guess, length: 4 }),
      kindOf('own', { ...guess, places: 4, votes: 4 }),
      kindOf('own', { ...guess, places: 4, votes: 3 }),
      kindOf('own', { ...guess, places: 4, votes: 1 }),
    ];
    expect(new Set(kinds).size).toBe(kinds.length);
    expect(kindOf('own', { ...guess, length: 8 })).toBe(kindOf('own', { ...guess, length: 6 }));
  });
});
