import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classifierSchema, type Keywords } from '../../api/classifier.ts';
import { decide } from './decide.ts';
import { compileKeywords } from './keywords.ts';
import { anyText } from './tables.fixture.ts';
import { wordsOf } from './words.ts';

const keywords = (
  labels: Readonly<Record<string, readonly (string | { text: string; weight: number })[]>>,
): Keywords => {
  const given = Object.entries(labels).map(([name, terms]) => ({
    name,
    terms: terms.map((term) => (typeof term === 'string' ? { text: term } : term)),
  }));
  const parsed = classifierSchema.parse({ name: 'c', keywords: { labels: given }, minConfidence: 0 });
  return parsed.keywords ?? expect.fail('no keywords');
};
const scored = (spec: Keywords, text: string, maxTokens = 64): Record<string, number> | undefined => {
  const scores = compileKeywords(spec).score(text, maxTokens);
  return scores && Object.fromEntries(scores.map(({ label, score }) => [label, Number(score.toFixed(3))]));
};

const spec = keywords({ medical: ['heart', 'heart rate', 'diagnos*'], legal: ['contract', 'court'] });

describe('keywords', () => {
  it('count as evidence of their label, and one for none of them', () => {
    expect(scored(spec, 'my heart')).toEqual({ medical: 0.5, legal: 0 });
    expect(scored(spec, 'a Contract in COURT!')).toEqual({ medical: 0, legal: 0.667 });
    expect(scored(spec, 'the heart of a contract')).toEqual({ medical: 0.333, legal: 0.333 });
  });

  it('may be several words that follow each other', () => {
    expect(scored(spec, 'heart, rate')).toEqual({ medical: 0.667, legal: 0 });
    expect(scored(spec, 'heart of rate')).toEqual({ medical: 0.5, legal: 0 });
  });

  it('may be the beginning of a word, of the last one alone', () => {
    expect(scored(spec, 'diagnosis')).toEqual({ medical: 0.5, legal: 0 });
    expect(scored(spec, 'a diagnos')).toEqual({ medical: 0.5, legal: 0 });
    expect(scored(keywords({ a: ['heart rate*'] }), 'heart rates')).toEqual({ a: 0.5 });
    expect(scored(keywords({ a: ['heart rate*'] }), 'hearts rate')).toBeUndefined();
    expect(scored(keywords({ a: ['he*'] }), 'x heart beats')).toEqual({ a: 0.5 });
  });

  it('count more with weight, a little more when repeated, less when several labels have them', () => {
    expect(scored(keywords({ a: [{ text: 'x', weight: 3 }] }), 'x')).toEqual({ a: 0.75 });
    const { a: once = 0 } = scored(keywords({ a: ['x'] }), 'x') ?? {};
    const { a: often = 0 } = scored(keywords({ a: ['x'] }), 'x x x x x x x x') ?? {};
    expect([often > once, often < 0.69]).toEqual([true, true]);
    const { a: shared = 0 } = scored(keywords({ a: ['x', 'y'], b: ['x'] }), 'x') ?? {};
    expect(shared).toBeLessThan(0.33);
  });

  it('that differ in letter case alone are one, with the larger weight', () => {
    const same = ['Heart', { text: 'heart', weight: 3 }, 'HEART*', { text: 'heart*', weight: 0.5 }];
    const twice = keywords({ a: same, b: ['court'] });
    const once = keywords({ a: [{ text: 'heart', weight: 3 }, 'heart*'], b: ['court'] });
    for (const text of ['heart', 'a court with a heart', 'hearts'])
      expect(scored(twice, text)).toEqual(scored(once, text));
  });

  it('say nothing of a text without them', () => {
    expect(scored(spec, 'what is the weather')).toBeUndefined();
    expect(scored(spec, '')).toBeUndefined();
    expect(decide({ name: 'c', minConfidence: 0, minMargin: 0 }, undefined)).toMatchObject({
      label: '',
      doubt: 'nothing in the prompt speaks for a label',
    });
  });

  it('are looked for in as many words as allowed', () => {
    expect(scored(spec, `${'x '.repeat(10)}heart`, 10)).toBeUndefined();
    expect(scored(spec, `${'x '.repeat(10)}heart`, 11)).toEqual({ medical: 0.5, legal: 0 });
  });

  it('of scripts without spaces are letters that follow each other', () => {
    expect(wordsOf('abc東京タワー 12', 9)).toEqual(['abc', '東', '京', 'タ', 'ワ', 'ー', '12']);
    expect(scored(keywords({ tokyo: ['東京'], kyoto: ['京都'] }), '明日の東京の天気')).toEqual({
      tokyo: 0.5,
      kyoto: 0,
    });
  });

  it('of equal scores the first name is best, whatever the order of the manifest', () => {
    const scores = [
      { label: 'b', score: 0.4 },
      { label: 'a', score: 0.4 },
    ];
    const thresholds = { name: 'c', minConfidence: 0.1, minMargin: 0.1 };
    expect(decide(thresholds, scores)).toEqual(decide(thresholds, scores.toReversed()));
    expect(decide(thresholds, scores)).toMatchObject({
      label: 'a',
      margin: 0,
      doubt: 'the margin is below minMargin 0.1',
    });
  });

  it('give scores from 0 to 1 that leave something for none, of any text', () => {
    fc.assert(
      fc.property(
        fc.oneof(anyText(300), fc.stringMatching(/^(heart |rate |court |diagnose ){0,40}$/)),
        fc.integer({ min: 1, max: 64 }),
        (text, maxTokens) => {
          const scores = compileKeywords(spec).score(text, maxTokens) ?? [];
          const sum = scores.reduce((total, { score }) => total + score, 0);
          expect(scores.every(({ score }) => score >= 0 && score < 1)).toBe(true);
          expect(sum).toBeLessThan(1);
        },
      ),
    );
  });

  it('end, of a text that unfolds to many letters and of terms that begin alike', () => {
    const many = Array.from({ length: 64 }, (_, index) => `${'a'.repeat(index || 1)}*`);
    const hostile = keywords({ a: [...new Set(many)] });
    expect(scored(hostile, '\ufdfa'.repeat(4096), 512)).toBeUndefined();
    expect(scored(hostile, `${'a'.repeat(63)} `.repeat(64), 512)?.['a']).toBeGreaterThan(0.9);
  });
});

describe('terms', () => {
  it.each(['*', '…', ' - '])('%j has no letter and no digit, and is refused', (text) => {
    const given = { name: 'c', keywords: { labels: [{ name: 'a', terms: [{ text }] }] }, minConfidence: 0 };
    expect(classifierSchema.safeParse(given).success).toBe(false);
  });
});
