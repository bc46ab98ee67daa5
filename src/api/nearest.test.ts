import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { editDistance, nearest } from './nearest.ts';

/** The textbook recursion, for short words. */
const reference = (a: string, b: string): number => {
  if (a === '' || b === '') return a.length + b.length;
  const options = [
    reference(a.slice(1), b) + 1,
    reference(a, b.slice(1)) + 1,
    reference(a.slice(1), b.slice(1)) + (a[0] === b[0] ? 0 : 1),
  ];
  if (a.length > 1 && b.length > 1 && a[0] === b[1] && a[1] === b[0])
    options.push(reference(a.slice(2), b.slice(2)) + 1);
  return Math.min(...options);
};

describe('editDistance', () => {
  it('measures edits as the textbook does, up to the limit', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 });
    fc.assert(
      fc.property(word, word, fc.nat(6), (a, b, limit) => {
        expect(editDistance(a, b, limit)).toBe(Math.min(reference(a, b), limit + 1));
      }),
      { numRuns: 300 },
    );
  });
});

describe('nearest', () => {
  it('finds letters that are swapped, missing, added or in another case', () => {
    expect(nearest('piority', ['pinned', 'priority'])).toEqual(['priority']);
    expect(nearest('setWieght', ['pause', 'setWeight'])).toEqual(['setWeight']);
    expect(nearest('MEMORY', ['None', 'Disk', 'Memory'])).toEqual(['Memory']);
    expect(nearest('asisstant', ['assistant'])).toEqual(['assistant']);
  });

  it('finds nothing where nothing is near', () => {
    expect(nearest('colour', ['digest', 'source'])).toEqual([]);
    expect(nearest('sqll', ['medical', 'summary'])).toEqual([]);
  });

  it('orders by distance, then by name, whatever the order of the candidates', () => {
    const names = ['sql-v9', 'medical', 'sql-v2', 'sql-v1', 'sql-v3', 'sql-v1x'];
    for (const candidates of [names, names.toReversed()]) {
      expect(nearest('sql-v1', candidates, 3)).toEqual(['sql-v1', 'sql-v1x', 'sql-v2']);
    }
  });

  it('ignores what is too long to compare', () => {
    expect(nearest('a'.repeat(100_000), ['a'.repeat(99_999)])).toEqual([]);
  });
});
