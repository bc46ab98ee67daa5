import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseManifests } from './parse.ts';

const parse = (text: string) => parseManifests(text, 'a.yaml', { defaultNamespace: 'default' });

/** What is said about a text, as `line: reason`. */
const said = (text: string) => parse(text).problems.map(({ line, reason }) => `${line}: ${reason}`);

const adapter = `apiVersion: adaptlet.io/v1alpha1
kind: Adapter
metadata: {name: sql-v1}
spec:
  baseModel: tiny
  source: {path: {path: team-a/sql-v1}}
`;

describe('parseManifests', () => {
  const examples = join(import.meta.dirname, '../../examples');
  it.each(readdirSync(examples).filter((name) => name.endsWith('.yaml')))('accepts examples/%s', (name) => {
    const { documents, problems } = parse(readFileSync(join(examples, name), 'utf8'));
    expect(problems).toEqual([]);
    expect(documents.length).toBeGreaterThan(0);
  });

  it('fills in defaults and the namespace, and nothing that the server gives', () => {
    expect(parse(adapter).documents.map((d) => d.manifest)).toEqual([
      {
        kind: 'Adapter',
        metadata: { name: 'sql-v1', namespace: 'default', labels: {}, annotations: {} },
        spec: {
          baseModel: 'tiny',
          source: { path: { path: 'team-a/sql-v1' } },
          priority: 0,
          pinned: false,
          preload: { tier: 'None' },
          validation: { smokeTests: [], allowNoEffect: false },
        },
      },
    ]);
  });

  it('gives a rollout the default strategy, whose pauses last a minute', () => {
    const text =
      'apiVersion: adaptlet.io/v1alpha1\nkind: AdapterRollout\nmetadata: {name: sql}\nspec: {adapter: a}\n';
    const spec = parse(text).documents[0]?.manifest.spec;
    expect(spec).toMatchObject({
      strategy: { canary: { steps: [{ setWeight: 5 }, { pause: { duration: '1m' } }, {}, {}, {}, {}] } },
      guard: { maxConsecutiveErrors: 5 },
      revisionHistoryLimit: 3,
    });
  });

  it('keeps the line where each document starts, and skips empty documents', () => {
    const second = adapter.replace('sql-v1', 'sql-v2');
    const { documents, problems } = parse(`# a comment\n---\n${adapter}---\n# nothing\n---\n${second}`);
    expect(problems).toEqual([]);
    expect(documents.map((d) => d.line)).toEqual([3, 12]);
  });

  it('knows the line of a field, and of the nearest thing around one that is not written', () => {
    const [document] = parse(adapter).documents;
    expect(document?.lineOf(['spec', 'source', 'path', 'path'])).toBe(6);
    expect(document?.lineOf(['spec', 'validation', 'smokeTests', 3])).toBe(4);
    expect(document?.lineOf([])).toBe(1);
  });

  it('returns the good documents of a file that has a bad one', () => {
    const { documents, problems } = parse(`${adapter}---\n${adapter.replace('sql-v1', 'Bad')}`);
    expect(documents).toHaveLength(1);
    expect(problems).toHaveLength(1);
  });

  it('reads JSON as well', () => {
    expect(
      said(JSON.stringify({ ...JSON.parse('{"apiVersion":"adaptlet.io/v1alpha1","kind":"Adapter"}') })),
    ).toEqual(['1: metadata is required', '1: spec is required']);
  });

  it('follows anchors and aliases, and puts a problem behind one at its own line', () => {
    const text = adapter.replace(
      'baseModel: tiny',
      'baseModel: &base tiny\n  validation:\n    maxLatency: *base',
    );
    expect(said(text)).toEqual([
      '7: spec.validation.maxLatency: must be a duration such as 500ms, 30s, 1m30s or 24h (units: ms, s, m, h)',
    ]);
  });

  it('says a hundred problems of a file at most', () => {
    const found = said('---\nkind: x\n'.repeat(500));
    expect(found).toHaveLength(101);
    expect(found.at(-1)).toBe('202: and 400 more problems from here on');
  });
});

describe('hostile texts', () => {
  const mebibyte = 1024 * 1024;
  const bomb = Array.from(
    { length: 9 },
    (_, i) => `a${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(',')}]`,
  );
  const rows: readonly (readonly [string, string, string])[] = [
    ['a file above 1 MiB', ' '.repeat(mebibyte + 1), '1: the file is larger than 1 MiB: split it'],
    [
      'a billion laughs',
      `a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n${bomb.join('\n')}`,
      '6: its aliases expand to too much: write the values out',
    ],
    ['an alias within its own anchor', 'a: &a\n  b: *a', '2: is nested more than 32 levels deep'],
    ['an alias without an anchor', 'a: *x', '1: alias *x has no anchor before it'],
    ['a megabyte of brackets', '['.repeat(mebibyte), '1: is nested more than 32 levels deep'],
    ['a megabyte of dashes', '- '.repeat(mebibyte / 2), '1: is nested more than 32 levels deep'],
    [
      'a field that is written twice',
      `${adapter}  baseModel: other\n`,
      '7: baseModel is written twice in the same map',
    ],
    ['a tab', 'a:\n\tb: 1', '2: a tab is used as indentation: YAML wants spaces'],
    ['a tag', 'a: !ruby/object 1', '1: is not YAML: Unresolved tag: !ruby/object'],
    ['a list as a name of a field', '? [a]\n: b', '1: a name of a field must be a plain text'],
    [
      'a colon in a value',
      'a: b: c',
      '1: a value has ": " in it, or a line is indented wrong: put the value in quotes',
    ],
    ['a text', 'hello', '1: must be an object with apiVersion, kind, metadata and spec'],
    ['a list', '- a', '1: must be an object with apiVersion, kind, metadata and spec'],
    [
      'a text that is an object whose length is none',
      adapter.replace('{name: sql-v1}', '{name: {length: {toString: null}}}'),
      '3: metadata.name: is an object whose length is no number',
    ],
    [
      'a kind that has no text',
      'apiVersion: v1\nkind: {toString: null}',
      '1: apiVersion "v1" is not Adaptlet\'s: only objects of adaptlet.io/v1alpha1 belong in this file',
    ],
    ['an own __proto__', `${adapter}  __proto__: {pinned: true}\n`, '7: unknown field spec.__proto__'],
  ];
  it.each(rows)('answers %s with one message', (_, text, message) => {
    expect(said(text)).toEqual([message]);
  });

  it('never throws, whatever the text', () => {
    const piece = fc.constantFrom(
      '\n',
      '  ',
      '\t',
      '- ',
      ': ',
      '&a ',
      '*a',
      '[',
      '{',
      ']',
      '}',
      '---\n',
      '"',
      "'",
      '|',
      '>',
      '!',
      '#',
      '%',
      '?',
      'a',
      '\0',
    );
    const line = fc.array(piece, { maxLength: 40 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(
        fc.oneof(
          line,
          fc.string(),
          line.map((text) => adapter + text),
        ),
        (text) => {
          for (const { line: at, reason } of parse(text).problems) {
            expect(at).toBeGreaterThan(0);
            expect(reason).not.toBe('');
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
