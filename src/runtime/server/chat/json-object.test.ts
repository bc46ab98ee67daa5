import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonObject } from './json-object.ts';

/** What became of a text, however it is cut: where it stopped, and its own values. */
const read = (text: string, cut = text.length) => {
  const object = new JsonObject();
  const own: [name: string, value: string][] = [];
  let start = 0;
  for (let from = 0; from < text.length; from += cut) {
    const piece = text.slice(from, from + cut);
    for (let at = 0; at < piece.length; ) {
      const step = object.next(piece, at);
      at = step.at;
      const place = from + at;
      if (step.kind === 'begins') start = place;
      if (step.kind === 'ends') own.push([object.name, text.slice(start, place)]);
      if (step.kind === 'whole' || step.kind === 'broken') return { kind: step.kind, used: place, own };
    }
  }
  return { kind: 'open', own };
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

  it('tells its own values as they are written, however it is cut', () => {
    const text =
      '{"name" : "a", "arguments":{"name": [1, {"x": "}"}]} ,"n":-1.50e3 , "\\"": [], "": {}, "t": true}';
    for (let cut = 1; cut <= text.length; cut += 1)
      expect(read(text, cut).own).toEqual([
        ['name', '"a"'],
        ['arguments', '{"name": [1, {"x": "}"}]}'],
        ['n', '-1.50e3'],
        ['\\"', '[]'],
        ['', '{}'],
        ['t', 'true'],
      ]);
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
])('%s is known to be none', (text) => {
  expect(read(text)).toMatchObject({ kind: 'broken' });
  expect(read(text, 1)).toEqual(read(text));
});
