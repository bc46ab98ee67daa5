import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { contentField, contentOf, integerField, integerOf, readFields, textOf } from './wire.ts';

describe('the protobuf reader', () => {
  it('gives back fields that together are the message, byte for byte', () => {
    const field = fc.oneof(
      fc.tuple(fc.integer({ min: 1, max: 2 ** 28 }), fc.nat()).map(([n, value]) => integerField(n, value)),
      fc
        .tuple(fc.integer({ min: 1, max: 2 ** 28 }), fc.uint8Array())
        .map(([n, bytes]) => contentField(n, Buffer.from(bytes))),
    );
    fc.assert(
      fc.property(fc.array(field), (parts) => {
        const message = Buffer.concat(parts);
        const fields = readFields(message);
        expect(fields).toHaveLength(parts.length);
        expect(Buffer.concat(fields.map((f) => message.subarray(f.start, f.end)))).toEqual(message);
      }),
    );
  });

  it('reads numbers and text as they were written', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.string(), (value, text) => {
        const message = Buffer.concat([integerField(3, value), contentField(9, text)]);
        const [number, string] = readFields(message);
        expect(number && integerOf(message, number)).toBe(value);
        expect(string && textOf(message, string)).toBe(Buffer.from(text, 'utf8').toString('utf8'));
      }),
    );
  });

  it('reads negative numbers, which take ten bytes', () => {
    const message = Buffer.from([0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    const [field] = readFields(message);
    expect(field && integerOf(message, field)).toBe(-1);
  });

  it('refuses arbitrary bytes with MODEL_INVALID or reads them whole, and never does anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const message = Buffer.from(bytes);
        try {
          const fields = readFields(message);
          expect(fields.at(-1)?.end ?? 0).toBe(message.length);
        } catch (error) {
          expect(error).toBeInstanceOf(AdaptletError);
          expect((error as AdaptletError).code).toBe('MODEL_INVALID');
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['a length beyond the end', [0x0a, 0x05, 0x01]],
    ['a length of 2^63', [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ['a number that is cut off', [0x08, 0x80]],
    ['a number of 11 bytes', [0x08, ...Array<number>(10).fill(0x80), 0x01]],
    ['a group, which protobuf gave up', [0x0b]],
    ['field 0', [0x00, 0x00]],
    ['half a fixed64', [0x09, 0, 0, 0]],
  ])('refuses %s', (_, bytes) => {
    expect(() => readFields(Buffer.from(bytes))).toThrow(expect.objectContaining({ code: 'MODEL_INVALID' }));
  });

  it('refuses to take a number for a message', () => {
    const message = integerField(1, 7);
    const [field] = readFields(message);
    expect(() => field && contentOf(message, field)).toThrow(/is not a message/);
  });
});
