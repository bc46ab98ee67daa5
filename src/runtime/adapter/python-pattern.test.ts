import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { Patterns, patternTable } from './module-pattern.ts';
import { fromPython } from './python-pattern.ts';
import { targetsOf } from './target-modules.ts';

type Row = {
  readonly kind: 'target' | 'key' | 'layer';
  readonly pattern: string;
  readonly answer: readonly number[] | 'error';
};

/** What PEFT says of several hundred expressions: test/fixtures/adapters/make.py. */
const { names, patterns } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/adapters/patterns.json', import.meta.url), 'utf8'),
) as { readonly names: readonly string[]; readonly patterns: readonly Row[] };

/** Look-around, comments, flags of Python alone, named back-references, possessive quantifiers, more than RE2 repeats. */
const inexpressible = /\(\?(?:[=!<>#axu]|P=)|\\[1-9]|[*+?}]\+|\{\d{4,}/;

const off = { excludeModules: undefined, layersToTransform: undefined, layersPattern: [] };

const layers = (pattern: string, name: string): number => {
  const target = name.slice(name.lastIndexOf('.') + 1);
  const found = [0, 1, 2, 3, 7, 11].find((layer) =>
    targetsOf({
      ...off,
      targetModules: [target],
      layersToTransform: [layer],
      layersPattern: pattern === '' ? [] : [pattern],
    }).includes(name),
  );
  return found ?? -1;
};

const answers: Readonly<Record<Row['kind'], (pattern: string) => readonly number[]>> = {
  target: (pattern) => {
    const { includes } = targetsOf({ ...off, targetModules: pattern });
    return names.map((name) => (includes(name) ? 1 : 0));
  },
  key: (pattern) => {
    const find = patternTable('rank_pattern', { [pattern]: 1 });
    return names.map((name) => find(name) ?? 0);
  },
  layer: (pattern) => names.map((name) => layers(pattern, name)),
};

const ours = ({ kind, pattern }: Row): readonly number[] | 'refused' => {
  try {
    return answers[kind](pattern);
  } catch (error) {
    if (error instanceof AdaptletError && error.code === 'ADAPTER_PATTERN_INVALID') return 'refused';
    throw error;
  }
};

describe('an expression of a configuration', () => {
  it.each(['target', 'key', 'layer'] as const)('means what it means to PEFT, or is refused: %s', (kind) => {
    const rows = patterns.filter((row) => row.kind === kind);
    const results = rows.map((row) => ({ ...row, ours: ours(row) }));
    const refused = results.filter((row) => row.ours === 'refused');
    const wrong = results.filter((row) => row.ours !== 'refused' && String(row.ours) !== String(row.answer));
    expect(wrong).toEqual([]);
    // Of what PEFT reads, only what RE2 cannot express or reads in another sense.
    const needless = refused.filter(
      ({ pattern, answer }) => answer !== 'error' && !inexpressible.test(pattern),
    );
    expect(needless).toEqual([]);
    expect(results.length - refused.length).toBeGreaterThan(60);
  });
});

describe('what RE2 reads like Python', () => {
  it.each([
    ['a set that begins with a bracket', '[]a]', String.raw`[\]a]`],
    ['a bracket in a set', '[[:alpha:]]', String.raw`[\[\:alpha\:]\]`],
    ['an upper bound alone', 'a{,3}', 'a{0,3}'],
    ['no bound', 'a{,}?', 'a{0,}?'],
    ['braces that repeat nothing', 'a{x}', String.raw`a\{x\}`],
    ['the end of the text', String.raw`a\Z`, String.raw`a\z`],
    ['flags at the start', '(?i)(?m)a(?s:.)', '(?i)(?m)a(?s:.)'],
    ['a backspace in a set', String.raw`[a\b]`, String.raw`[a\x08]`],
  ])('%s', (_, python, re2) => {
    expect(fromPython(python)).toBe(re2);
  });

  it.each([
    'a(?i)b',
    '(?=a)',
    '(?<!a)b',
    '(?>a)',
    'a*+',
    'a**',
    '^*',
    '*',
    '[a',
    String.raw`(a)\1`,
    String.raw`\Qa\E`,
    String.raw`[\w-a]`,
    String.raw`\pL`,
    String.raw`\C`,
    'a\\',
  ])('and nothing else: %s', async (expression) => {
    expect(await codeOf(() => new Patterns().compile('target_modules', expression, expression))).toBe(
      'ADAPTER_PATTERN_INVALID',
    );
  });
});
