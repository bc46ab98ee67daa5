import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { followPath, parseJsonPath } from './json-path.ts';

const steps = (path: string) => parseJsonPath(path, (name) => name.replace('{{canary.adapter}}', 'sql.v2'));
const at = (document: unknown, path: string) => followPath(document, steps(path));

describe('a jsonPath', () => {
  it.each([
    ['$', []],
    ['$.a.b[0].c', ['a', 'b', 0, 'c']],
    ['{.a.b}', ['a', 'b']],
    ['{.a[3]}', ['a', 3]],
    [`$['a b']["c.d"]`, ['a b', 'c.d']],
    ['$.x.{{canary.adapter}}.y', ['x', 'sql.v2', 'y']],
    ['{.{{canary.adapter}}}', ['sql.v2']],
    [`$['v-{{canary.adapter}}']`, ['v-sql.v2']],
  ])('%s is the steps %j', (path, expected) => {
    expect(steps(path)).toEqual(expected);
  });

  it('leads to what is there', () => {
    expect(at({ a: [{ 'sql.v2': { n: 0 } }] }, '$.a[0].{{canary.adapter}}.n')).toEqual({ value: 0 });
    expect(at(7, '$')).toEqual({ value: 7 });
    expect(at({ a: null }, '$.a')).toEqual({ value: null });
  });

  it('says where it led nowhere', () => {
    expect(at({ a: {} }, '$.a.b.c')).toEqual({ missing: "$['a']['b']" });
    expect(at({ a: [1] }, '$.a[1]')).toEqual({ missing: "$['a'][1]" });
    expect(at({ a: 'text' }, '$.a[0]')).toEqual({ missing: "$['a'][0]" });
    expect(at({ a: [1] }, '$.a.length')).toEqual({ missing: "$['a']['length']" });
  });

  it('does not lead to what every object inherits', () => {
    expect(at({}, '$.constructor')).toEqual({ missing: "$['constructor']" });
    expect(at(JSON.parse('{"__proto__": 5}'), '$.__proto__')).toEqual({ value: 5 });
    expect(at({}, '$.__proto__')).toEqual({ missing: "$['__proto__']" });
  });

  it('finds every number in every document', () => {
    const key = fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/);
    fc.assert(
      fc.property(fc.array(fc.oneof(key, fc.nat(20))), fc.integer(), (path, number) => {
        const nest = (step: string | number, inner: unknown): unknown =>
          typeof step === 'string' ? Object.fromEntries([[step, inner]]) : [...Array(step).fill(0), inner];
        const document = path.reduceRight<unknown>((inner, one) => nest(one, inner), number);
        const text = path.map((one) => (typeof one === 'string' ? `.${one}` : `[${one}]`)).join('');
        expect(at(document, `$${text}`)).toEqual({ value: number });
      }),
    );
  });
});
