import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Match } from '../../api/match.ts';
import { hintHeader, maxPresetLength, presets } from '../../api/match.ts';
import { silent } from './labelled.ts';
import { compileMatches } from './match.ts';
import { context } from './plan.fixture.ts';
import { indexRules } from './rule-index.ts';

const word = fc.constantFrom('a', 'b', 'A', 'a-b', 'b-a-a', ' a');
const words = fc.uniqueArray(word, { minLength: 1, maxLength: 3 });
const inWords = words.map((values) => ({ in: values }));
const header = fc.record({
  name: fc.constantFrom('x-one', 'x-two', presets.locale),
  type: fc.constantFrom('Exact' as const, 'Prefix' as const, 'Regex' as const),
  value: word,
});
const part = fc.oneof(
  fc.record({ headers: fc.array(header, { minLength: 1, maxLength: 2 }) }),
  fc.record({ user: fc.oneof(inWords, fc.record({ prefix: word })) }),
  fc.record({ tenant: inWords }),
  fc.record({ locale: inWords }),
  fc.record({ task: inWords }),
  fc.record({ adapterHint: inWords }),
  fc.record({ promptRegex: word }),
  fc.record({ classifier: fc.record({ name: fc.constant('c'), labels: words }) }),
);
const leaf = fc.array(part, { minLength: 1, maxLength: 2 }).map((parts) => Object.assign({}, ...parts));
const match: fc.Arbitrary<Match> = fc
  .tuple(leaf, fc.array(leaf, { maxLength: 1 }))
  .map(([one, not]) => ({ ...one, not }));
const rules = fc.array(fc.array(match, { maxLength: 2 }), { maxLength: 12 });
const given = fc.record(
  {
    user: word,
    tenant: word,
    prompt: fc.record({ text: word, isCut: fc.boolean() }),
    headers: fc.dictionary(
      fc.constantFrom('x-one', 'x-two', 'accept-language', hintHeader, ...Object.values(presets)),
      word,
    ),
  },
  { requiredKeys: [] },
);

describe('the index of rules', () => {
  it('leaves out no rule that takes a request, asks for a classifier or cannot be told, and keeps their order', () => {
    fc.assert(
      fc.property(rules, given, fc.constantFrom('a', 'b'), (made, who, label) => {
        const matchers = made.map(compileMatches);
        const asked = (rule: number): unknown => {
          const labels: string[] = [];
          const verdict = matchers[rule]?.test(context('m', who), (name) => {
            labels.push(name);
            return { ...silent(name, ''), label };
          });
          return { verdict, labels };
        };
        const candidates = [...indexRules(matchers)(context('m', who))];
        expect(candidates).toEqual([...new Set(candidates)].toSorted((a, b) => a - b));
        const others = matchers.keys().filter((rule) => !candidates.includes(rule));
        for (const rule of others) expect(asked(rule)).toEqual({ verdict: false, labels: [] });
      }),
      { numRuns: 1000 },
    );
  });

  it('looks at one rule of a thousand for what they ask a request to have', () => {
    const matchers = Array.from({ length: 1000 }, (_, i) => compileMatches([{ user: { in: [`u${i}`] } }]));
    expect([...indexRules(matchers)(context('m', { user: 'u700' }))]).toEqual([700]);
    expect([...indexRules(matchers)(context('m'))]).toEqual([]);
  });

  it('looks at few rules of a thousand for what must begin in some way', () => {
    const matchers = Array.from({ length: 1000 }, (_, i) => compileMatches([{ user: { prefix: `u${i}` } }]));
    expect([...indexRules(matchers)(context('m', { user: 'u700@example.com' }))]).toEqual([7, 70, 700]);
    expect([...indexRules(matchers)(context('m', { user: 'u' }))]).toEqual([]);
    expect([...indexRules(matchers)(context('m'))]).toEqual([]);
  });

  it('looks at no rule that asks a request not to have what it has', () => {
    const not = (prefix: string) => compileMatches([{ not: [{ user: { prefix } }] }]);
    const matchers = Array.from({ length: 100 }, (_, i) => not(`u${i}`));
    const candidates = [...indexRules(matchers)(context('m', { user: 'u70' }))];
    expect(candidates).toHaveLength(98);
    expect(candidates).not.toContain(7);
    expect(candidates).not.toContain(70);
    expect([...indexRules(matchers)(context('m'))]).toHaveLength(100);
  });

  it('looks a rule up by a value rather than by a prefix that others have too', () => {
    const matchers = Array.from({ length: 100 }, (_, i) =>
      compileMatches([{ headers: [{ name: 'x-one', type: 'Prefix', value: 'a' }], user: { in: [`u${i}`] } }]),
    );
    const who = { user: 'u7', headers: { 'x-one': 'abc' } };
    expect([...indexRules(matchers)(context('m', who))]).toEqual([7]);
  });

  it('finds ranges of a length that no rule has to have', () => {
    const range = 'İ'.repeat(maxPresetLength);
    const matchers = [compileMatches([{ locale: { in: [range] } }])];
    const headers = { [presets.locale]: `${range}-${'x-'.repeat(30_000)}` };
    expect([...indexRules(matchers)(context('m', { headers }))]).toEqual([0]);
  });
});
