import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adapterErrors } from '../../errors/adapter.ts';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { float32, rawSafetensors, safetensors } from './peft-folder.fixture.ts';
import { headerLength, maxHeaderBytes, parseHeader } from './safetensors.ts';

/** Reads a whole file held in memory, as compile.ts reads one on disk. */
const parse = (file: Uint8Array) => {
  const length = headerLength(file.subarray(0, 8), file.length, 'x');
  return parseHeader(file.subarray(8, 8 + length), file.length - 8 - length, 'x');
};

const tensor = (fields: Record<string, unknown>) =>
  JSON.stringify({ t: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...fields } });

describe('a header that is refused', () => {
  it.each([
    ['not JSON', '{', 'ADAPTER_HEADER_INVALID'],
    ['a list', '[]', 'ADAPTER_HEADER_INVALID'],
    ['white space before the object', ` ${tensor({})}`, 'ADAPTER_HEADER_INVALID'],
    ['not UTF-8', Uint8Array.of(0x7b, 0xff, 0x7d), 'ADAPTER_HEADER_INVALID'],
    ['a byte order mark', `\u{feff}${tensor({})}`, 'ADAPTER_HEADER_INVALID'],
    ['a tensor that is a number', '{"t":1}', 'ADAPTER_HEADER_INVALID'],
    ['an unknown field', tensor({ extra: 1 }), 'ADAPTER_HEADER_INVALID'],
    ['an unknown dtype', tensor({ dtype: 'F12' }), 'ADAPTER_HEADER_INVALID'],
    ['a dtype named as a member of Object', tensor({ dtype: 'constructor' }), 'ADAPTER_HEADER_INVALID'],
    ['a negative dimension', tensor({ shape: [-2] }), 'ADAPTER_HEADER_INVALID'],
    ['a fractional dimension', tensor({ shape: [2.5] }), 'ADAPTER_HEADER_INVALID'],
    ['too many dimensions', tensor({ shape: Array.from({ length: 9 }, () => 1) }), 'ADAPTER_HEADER_INVALID'],
    ['one offset', tensor({ data_offsets: [0] }), 'ADAPTER_HEADER_INVALID'],
    ['an offset beyond exact integers', tensor({ data_offsets: [0, 2 ** 60] }), 'ADAPTER_HEADER_INVALID'],
    ['metadata that is not text', '{"__metadata__":{"a":1}}', 'ADAPTER_HEADER_INVALID'],
    [
      'a name twice',
      '{"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"t":1}',
      'ADAPTER_HEADER_INVALID',
    ],
    ['a name twice by escape', String.raw`{"t":1,"\u0074":1}`, 'ADAPTER_HEADER_INVALID'],
    [
      'a field twice',
      '{"t":{"dtype":"F16","dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
      'ADAPTER_HEADER_INVALID',
    ],
    ['a length that is not that of the shape', tensor({ shape: [3] }), 'ADAPTER_OFFSETS_INVALID'],
    ['a shape whose product overflows', tensor({ shape: [2 ** 52, 2 ** 52] }), 'ADAPTER_OFFSETS_INVALID'],
    ['an end before the begin', tensor({ data_offsets: [8, 0] }), 'ADAPTER_OFFSETS_INVALID'],
    ['a hole in front', tensor({ data_offsets: [4, 12] }), 'ADAPTER_OFFSETS_INVALID'],
    ['more than the file has', tensor({ shape: [4], data_offsets: [0, 16] }), 'ADAPTER_FILE_TRUNCATED'],
    ['less than the file has', tensor({ shape: [1], data_offsets: [0, 4] }), 'ADAPTER_FILE_OVERSIZED'],
  ])('%s', async (_, header, code) => {
    expect(await codeOf(() => parse(rawSafetensors(header, new Uint8Array(8))))).toBe(code);
  });

  it('says that two tensors share bytes', async () => {
    const f32 = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
    const header = JSON.stringify({ a: f32, b: { ...f32, data_offsets: [4, 12] } });
    expect(await codeOf(() => parse(rawSafetensors(header, new Uint8Array(12))))).toBe(
      'ADAPTER_OFFSETS_INVALID',
    );
  });

  it('says that a tensor is misaligned', async () => {
    const header = JSON.stringify({
      a: { dtype: 'U8', shape: [2], data_offsets: [0, 2] },
      b: { dtype: 'F32', shape: [1], data_offsets: [2, 6] },
    });
    expect(await codeOf(() => parse(rawSafetensors(header, new Uint8Array(6))))).toBe(
      'ADAPTER_OFFSETS_INVALID',
    );
  });

  it('is not read when it says that it is larger than the limit or than the file', async () => {
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(maxHeaderBytes + 1));
    expect(await codeOf(() => headerLength(prefix, 2 ** 40, 'x'))).toBe('ADAPTER_HEADER_TOO_LARGE');
    prefix.writeBigUInt64LE(100n);
    expect(await codeOf(() => headerLength(prefix, 107, 'x'))).toBe('ADAPTER_FILE_TRUNCATED');
    expect(await codeOf(() => headerLength(prefix.subarray(0, 7), 7, 'x'))).toBe('ADAPTER_FILE_TRUNCATED');
  });
});

const dtypes = fc.constantFrom(['F32', 4], ['F16', 2], ['BF16', 2], ['U8', 1], ['I64', 8] as const);
const tensors = fc.dictionary(
  // Names of digits alone would change their place in an object.
  fc.string().map((name) => `t${name}`),
  fc.tuple(dtypes, fc.array(fc.nat(5), { maxLength: 3 })).map(([[dtype, size], shape]) => ({
    dtype,
    shape,
    data: new Uint8Array(shape.reduce((a, b) => a * b, size)),
  })),
  { maxKeys: 6 },
);

const elementSize = (t: { shape: readonly number[]; data: Uint8Array }): number =>
  t.data.length / t.shape.reduce((x, y) => x * y, 1) || 8;

describe('properties', () => {
  it('reads back the name, dtype, shape and bytes of every tensor, largest elements first', () => {
    fc.assert(
      fc.property(tensors, (written) => {
        const order = Object.entries(written).sort(([, a], [, b]) => {
          return elementSize(b) - elementSize(a);
        });
        const read = parse(safetensors(Object.fromEntries(order)));
        expect(Object.fromEntries(read.map(({ name, dtype, shape }) => [name, { dtype, shape }]))).toEqual(
          Object.fromEntries(order.map(([name, { dtype, shape }]) => [name, { dtype, shape }])),
        );
        expect(read.reduce((sum, t) => sum + t.end - t.begin, 0)).toBe(
          order.reduce((sum, [, t]) => sum + t.data.length, 0),
        );
      }),
    );
  });

  it('answers damaged files with a code of the catalogue, and never reads outside the file', () => {
    const good = safetensors({ a: float32([2, 3], [1, 2, 3, 4, 5, 6]), b: float32([1], [7]) });
    const damage = fc.record({
      flips: fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }),
      length: fc.nat(good.length + 8),
    });
    fc.assert(
      fc.property(damage, ({ flips, length }) => {
        const bytes = Buffer.alloc(length);
        good.copy(bytes);
        for (const [at, value] of flips) if (at < length) bytes[at] = value;
        expectSafe(bytes);
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses a header that nests deeper than any, before it takes memory many times its bytes', () => {
    for (const levels of [62, 8_000_000]) {
      const header = `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`;
      expect(() => parse(rawSafetensors(header, new Uint8Array(0)))).toThrow(
        expect.objectContaining({
          code: 'ADAPTER_HEADER_INVALID',
          message: expect.stringMatching(levels > 62 ? /not a JSON object/ : /is not an object/),
        }),
      );
    }
  });

  it('answers any bytes with a code of the catalogue', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), expectSafe));
    fc.assert(
      fc.property(fc.json(), fc.nat(64), (header, size) => {
        expectSafe(rawSafetensors(header, new Uint8Array(size)));
      }),
    );
  });
});

const expectSafe = (bytes: Uint8Array): void => {
  try {
    const length = headerLength(bytes.subarray(0, 8), bytes.length, 'x');
    for (const { begin, end } of parse(bytes)) {
      expect(begin).toBeGreaterThanOrEqual(0);
      expect(end).toBeLessThanOrEqual(bytes.length - 8 - length);
    }
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    expect(Object.keys(adapterErrors)).toContain(code);
  }
};
