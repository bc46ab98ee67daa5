import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { all, any, negated, type Verdict } from './verdict.ts';

type Formula =
  | { readonly kind: 'leaf'; readonly at: number }
  | { readonly kind: 'all' | 'any'; readonly of: readonly Formula[] }
  | { readonly kind: 'not'; readonly of: Formula };

const leaves = 4;
const { formula } = fc.letrec<{ formula: Formula }>((tie) => ({
  formula: fc.oneof(
    { maxDepth: 4 },
    fc.record({ kind: fc.constant('leaf' as const), at: fc.nat(leaves - 1) }),
    fc.record({
      kind: fc.constantFrom('all' as const, 'any' as const),
      of: fc.array(tie('formula'), { maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant('not' as const), of: tie('formula') }),
  ),
}));

const verdictOf = (of: Formula, values: readonly Verdict[]): Verdict => {
  if (of.kind === 'leaf') return values[of.at] ?? 'unknown';
  if (of.kind === 'not') return negated(verdictOf(of.of, values));
  return of.kind === 'all'
    ? all(of.of, (one) => verdictOf(one, values))
    : any(of.of, (one) => verdictOf(one, values));
};

const verdicts = fc.array(fc.constantFrom<Verdict>(true, false, 'unknown'), {
  minLength: leaves,
  maxLength: leaves,
});
const booleans = fc.array(fc.boolean(), { minLength: leaves, maxLength: leaves });

describe('verdicts', () => {
  it('without unknowns are plain logic', () => {
    expect(all([], () => false)).toBe(true);
    expect(any([], () => true)).toBe(false);
    fc.assert(
      fc.property(booleans, (values) => {
        expect(all(values, (one) => one)).toBe(values.every((one) => one));
        expect(any(values, (one) => one)).toBe(values.some((one) => one));
      }),
    );
  });

  it('that were given in spite of unknowns stay, whatever those turn out to be', () => {
    fc.assert(
      fc.property(formula, verdicts, booleans, (of, values, found) => {
        const before = verdictOf(of, values);
        const after = verdictOf(
          of,
          values.map((one, index) => (one === 'unknown' ? (found[index] ?? false) : one)),
        );
        expect(after).not.toBe('unknown');
        if (before !== 'unknown') expect(after).toBe(before);
      }),
    );
  });
});
