import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Slots } from './slots.ts';

const same = (): number => 0;

/** Rows by name; `-`: free. */
const placesOf = (text: string): Slots<string> => {
  const places = new Slots<string>(text.length);
  for (const [row, name] of text.split('').entries()) if (name !== '-') places.take(row, name);
  return places;
};

const shown = (places: Slots<string>, rows: number): string =>
  Array.from({ length: rows }, (_, row) => places.at(row) ?? '-').join('');

describe('the row for a newcomer', () => {
  it('is the first one while all are free, and none once all are taken', () => {
    expect(placesOf('---').choose(same)).toBe(0);
    expect(placesOf('ab').choose(same)).toBeUndefined();
  });

  it('is the one that lengthens the span of taken rows least, of equals the first', () => {
    expect(placesOf('---ab--').choose(same)).toBe(2);
    expect(placesOf('a----b-').choose(same)).toBe(1);
    expect(placesOf('ab---').choose(same)).toBe(2);
  });

  it('is the one that costs least where that makes no step longer, wherever it is while all are free', () => {
    expect(placesOf('a----b-').choose((row) => (row === 3 ? 0 : 1))).toBe(3);
    expect(placesOf('-ab-').choose((row) => (row === 3 ? 0 : 1))).toBe(3);
    expect(placesOf('----').choose((row) => (row === 2 ? 0 : 1))).toBe(2);
    expect(placesOf('a----b-').choose((row) => (row === 1 ? Infinity : row))).toBe(2);
    expect(placesOf('ab---').choose((row) => (row === 4 ? 0 : 1))).toBe(2);
  });

  it('is not a taken one, however little that costs', () => {
    expect(placesOf('ab-').choose((row) => (row < 2 ? 0 : 1))).toBe(2);
  });

  it('is free again after its sequence left', () => {
    const places = placesOf('abc');
    places.leave(1);
    expect(places.free).toEqual([1]);
    expect(places.choose(same)).toBe(1);
    expect(places.at(1)).toBeUndefined();
  });
});

describe('a gap between taken rows', () => {
  const free = (): number => 1;

  it('is none while the taken rows are next to each other', () => {
    for (const text of ['---', '-a-', '-ab', 'abc']) expect(placesOf(text).gap(free)).toBeUndefined();
  });

  it('is closed by the sequence at an end whose move costs less', () => {
    const costs: Record<string, number> = { a: 5, b: 2 };
    expect(placesOf('a-b').gap((name) => costs[name])).toMatchObject({ from: 2, to: 1 });
    expect(placesOf('b--a').gap((name) => costs[name])).toMatchObject({ from: 0, to: 1 });
  });

  it('stays when no move pays', () => {
    expect(placesOf('a-b').gap(() => undefined)).toBeUndefined();
    expect(placesOf('a-b').gap((name) => (name === 'a' ? 1 : undefined))).toMatchObject({ from: 0, to: 1 });
  });
});

describe('rows that are taken and left at random', () => {
  const rows = 8;
  const move = fc.oneof(
    fc.record({ kind: fc.constant('come' as const), suits: fc.nat(rows - 1) }),
    fc.record({ kind: fc.constant('go' as const), row: fc.nat(rows - 1) }),
    fc.record({ kind: fc.constant('close' as const), cost: fc.array(fc.nat(3), { minLength: 1 }) }),
  );

  it('hold each sequence once, and closing gaps leaves none in as many moves as there are rows', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
        const places = new Slots<string>(rows);
        const here = new Set<string>();
        let names = 0;
        const come = (suits: number): void => {
          const row = places.choose((at) => (at === suits ? 0 : 1));
          expect(row === undefined).toBe(here.size === rows);
          if (row === undefined) return;
          expect(places.at(row)).toBeUndefined();
          const name = String.fromCharCode(97 + names++);
          places.take(row, name);
          here.add(name);
        };
        const close = (cost: readonly number[]): void => {
          const costOf = (name: string): number => cost[name.charCodeAt(0) % cost.length] ?? 0;
          let moved = 0;
          for (let gap = places.gap(costOf); gap !== undefined; gap = places.gap(costOf)) {
            const name = places.at(gap.from)!;
            expect(places.at(gap.to)).toBeUndefined();
            places.leave(gap.from);
            places.take(gap.to, name);
            expect(++moved).toBeLessThanOrEqual(rows);
          }
          expect(shown(places, rows)).toMatch(/^-*[^-]*-*$/u);
        };
        for (const step of moves) {
          if (step.kind === 'come') come(step.suits);
          else if (step.kind === 'close') close(step.cost);
          else {
            const name = places.at(step.row);
            if (name !== undefined) here.delete(name);
            places.leave(step.row);
          }
          const there = shown(places, rows)
            .split('')
            .filter((name) => name !== '-');
          expect(there.toSorted()).toEqual([...here].toSorted());
          expect(places.free).toHaveLength(rows - here.size);
        }
      }),
    );
  });
});
