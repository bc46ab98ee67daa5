import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonObject } from './json-object.ts';

/** What became of a text, however it is cut. */
const read = (text: string, cut = text.length) => {
  const object = new JsonObject();
  let used = 0;
  for (let at = 0; at < text.length; at += cut) {
    const step = object.push(text.slice(at, at + cut));
    if (step === 'broken') return { kind: 'broken' };
    if (step === 'open') continue;
    used = at + step;
    return { kind: 'whole', used, object };
  }
  return { kind: 'open' };
};

const objects = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()).map((value) => ({
  value,
  text: JSON.stringify(value),
}));

describe('an object', () => {
  it('ends where it ends, however it is cut and whatever follows it', () => {
    fc.assert(
      fc.property(objects, fc.integer({ min: 1, max: 9 }), fc.string(), ({ text }, cut, after) => {
        expect(read(` ${text}${after}`, cut)).toMatchObject({ kind: 'whole', used: text.length + 1 });
      }),
    );
  });

  it('is open before its end', () => {
    fc.assert(
      fc.property(objects, fc.nat(), ({ text }, at) => {
        expect(read(text.slice(0, at % text.length)).kind).toBe('open');
      }),
    );
  });

  it('tells its own members as they are written', () => {
    const { object } = read('{"name" : "a", "arguments":{"name": [1, {"x": "}"}]} ,"n":-1.50e3 , "t": true}');
    expect(object?.member('name')).toBe('"a"');
    expect(object?.member('arguments')).toBe('{"name": [1, {"x": "}"}]}');
    expect(object?.member('n')).toBe('-1.50e3');
    expect(object?.member('t')).toBe('true');
    expect(object?.member('x')).toBeUndefined();
  });
});

it.each([
  'x',
  '[1]',
  '"a"',
  '{a: 1}',
  "{'a': 1}",
  '{"a" 1}',
  '{"a": }',
  '{"a": 1,}',
  '{,"a": 1}',
  '{"a": [1,]}',
  '{"a": [}',
  '{"a": 1 2}',
  '{"a": <',
  '{"a": "b" <',
  `{"a": ${'['.repeat(64)}`,
])('%s is known to be none', (text) => {
  expect(read(text).kind).toBe('broken');
  expect(read(text, 1).kind).toBe('broken');
});

it('takes as many levels as are allowed', () => {
  expect(read(`{"a": ${'['.repeat(63)}${']'.repeat(63)}}`).kind).toBe('whole');
});
