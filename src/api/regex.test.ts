import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, it } from 'vitest';
import { compileRegex, regexProblem } from './regex.ts';

const atoms = [
  'a',
  'b',
  'é',
  '.',
  '[ab]',
  '[^a]',
  '\\w',
  '\\s',
  '\\d',
  '^',
  '$',
  '\\b',
  '\\B',
  '(?i)A',
  '(?m)^b',
  '\\A',
  '\\z',
];

const { pattern } = fc.letrec<{ pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { depthSize: 'medium', withCrossShrink: true },
    fc.constantFrom(...atoms),
    fc.tuple(tie('pattern'), tie('pattern')).map(([first, second]) => `${first}${second}`),
    fc.tuple(tie('pattern'), tie('pattern')).map(([first, second]) => `(?:${first}|${second})`),
    fc
      .tuple(tie('pattern'), fc.constantFrom('*', '+', '?', '*?', '{2}', '{0,3}', '{1,40}'))
      .map(([repeated, times]) => `(${repeated})${times}`),
  ),
}));

const character = fc.constantFrom('a', 'b', 'A', 'é', '1', ' ', '\n', '😀');
const text = fc.oneof(
  fc.array(character, { maxLength: 12 }),
  fc.array(fc.constantFrom('a', 'b'), { minLength: 200, maxLength: 400 }),
);

/** Each of the last hundred letters may have been the first `a` that counts. */
const letters = ((): string => {
  let state = 1;
  return Array.from({ length: 4000 }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state > 2 ** 30 ? 'a' : 'b';
  }).join('');
})();

describe('compileRegex', () => {
  it('says what a search for the place says', () => {
    fc.assert(
      fc.property(pattern, text, (source, characters) => {
        fc.pre(regexProblem(source) === undefined);
        const value = characters.join('');
        const alone = RE2JS.compile(source);
        const regex = compileRegex(source);
        expect(regex.test(value)).toBe(alone.matcher(value).find());
        expect(regex.matches(value)).toBe(alone.matches(value));
        // Whatever comes behind it.
        const begins = regex.testBeginning(value);
        if (begins) for (const more of ['', 'a', ' ', '\n']) expect(regex.test(value + more)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  it('says the same of a pattern with more states than it may keep', () => {
    const regex = compileRegex('[ab]*a[ab]{12}[cd]');
    expect(regex.test(letters)).toBe(false);
    expect(regex.test(`${letters}a${'b'.repeat(12)}c`)).toBe(true);
    expect(regex.test(`${letters}${'b'.repeat(13)}c`)).toBe(false);
  });

  it('keeps few states of each pattern, whatever it is asked about', async () => {
    const script = new URL('regex.fixture.ts', import.meta.url).pathname;
    const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script]);
    // 20 MB without a bound.
    expect(Number(stdout)).toBeLessThan(8 << 20);
  });

  it('tells a match somewhere from a match of the whole', () => {
    const regex = compileRegex('med(ical)?');
    expect([regex.test('a medical case'), regex.matches('a medical case'), regex.matches('medical')]).toEqual(
      [true, false, true],
    );
  });

  it('matches the whole of every alternative', () => {
    expect(compileRegex('a|ab').matches('ab')).toBe(true);
  });

  it('stays linear where a backtracking engine would not end', () => {
    expect(compileRegex('(x+x+)+y').test('x'.repeat(50_000))).toBe(false);
  });
});
