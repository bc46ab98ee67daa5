import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { bodyShape, readJsonText } from './json.ts';

const read = (text: string, partBytes = Infinity) => {
  const bytes = Buffer.from(text);
  const look = bodyShape();
  for (let at = 0; at < bytes.length; at += partBytes) look(bytes.subarray(at, at + partBytes));
  return readJsonText(bytes);
};

it('reads what JSON.parse reads, whatever its texts hold', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      for (const partBytes of [Infinity, 1]) expect(read(text, partBytes)).toEqual(JSON.parse(text));
    }),
  );
  const brackets = { a: '[['.repeat(300), 'b"\\': '\\"[{', c: ['\\\\', '{'.repeat(300)] };
  for (const partBytes of [Infinity, 2, 1])
    expect(read(JSON.stringify(brackets), partBytes)).toEqual(brackets);
});

it.each([
  ['deep lists', '['.repeat(257) + ']'.repeat(257), /nested deeper than 256/],
  ['deep objects', `${'{"a":'.repeat(400_000)}1`, /nested deeper than 256/],
  ['many lists', `[${'[],'.repeat(100_000)}1]`, /more than 100000 objects and lists/],
  [
    'many names',
    `{${Array.from({ length: 32_769 }, (_, i) => `"${i}":1`).join(',')}}`,
    /more than 32768 names and texts/,
  ],
  ['many numbers', `[${'1,'.repeat(500_001)}1]`, /more than 500000 values/],
  ['what is no JSON', '{"a":', /not JSON/],
  ['nothing', '', /not JSON/],
])('refuses %s', (_, text, message) => {
  expect(() => read(text)).toThrow(
    expect.objectContaining({ code: 'REQUEST_INVALID', message: expect.stringMatching(message) }),
  );
});

it('takes what schemas and tensors need', () => {
  expect(read('['.repeat(256) + ']'.repeat(256))).toBeDefined();
  expect(read(JSON.stringify(Array.from({ length: 500_000 }, () => 1)))).toHaveLength(500_000);
  expect(read(JSON.stringify(Array.from({ length: 32_768 }, String)))).toHaveLength(32_768);
  expect(read(JSON.stringify(Array.from({ length: 90_000 }, () => [1, 2])))).toHaveLength(90_000);
});

it('refuses a shape as soon as it can be told, before the rest of it is there', () => {
  const look = bodyShape();
  look(Buffer.from('['.repeat(200)));
  expect(() => look(Buffer.from('['.repeat(57)))).toThrow(/nested deeper than 256/);
});
