import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { readJsonText } from './json.ts';

const read = (text: string) => readJsonText(Buffer.from(text));

it('reads what JSON.parse reads, whatever its texts hold', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      expect(read(text)).toEqual(JSON.parse(text));
    }),
  );
  const brackets = { a: '[['.repeat(300), 'b"\\': '\\"[{', c: ['\\\\', '{'.repeat(300)] };
  expect(read(JSON.stringify(brackets))).toEqual(brackets);
});

it.each([
  ['deep lists', '['.repeat(257) + ']'.repeat(257), /nested deeper than 256/],
  ['deep objects', `${'{"a":'.repeat(400_000)}1`, /nested deeper than 256/],
  ['many lists', `[${'[],'.repeat(100_000)}1]`, /more than 100000 objects and lists/],
  ['what is no JSON', '{"a":', /not JSON/],
  ['nothing', '', /not JSON/],
])('refuses %s', (_, text, message) => {
  expect(() => read(text)).toThrow(
    expect.objectContaining({ code: 'REQUEST_INVALID', message: expect.stringMatching(message) }),
  );
});

it('takes what schemas and tensors need', () => {
  expect(read('['.repeat(256) + ']'.repeat(256))).toBeDefined();
  expect(read(JSON.stringify(Array.from({ length: 90_000 }, () => [1, 2])))).toHaveLength(90_000);
});
