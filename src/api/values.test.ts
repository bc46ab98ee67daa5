import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adapterSpecSchema, immutabilityProblems } from './adapter.ts';
import { durationBetween, parseDuration } from './duration.ts';
import { imageVersion } from './image.ts';
import { parseQuantity } from './quantity.ts';
import { selects } from './selector.ts';

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['1m30s', 90_000],
    ['1.5h', 5_400_000],
    ['0s', 0],
    ['8784h', 31_622_400_000],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });
  it.each(['', '5', '5d', '-5s', '1h 5m', '5S', '8785h', '1s'.repeat(20)])(
    'refuses "%s" with a RangeError',
    (text) => {
      expect(() => parseDuration(text)).toThrow(RangeError);
    },
  );
  it('adds up its parts', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(59), fc.nat(59), (h, m, s) => {
        expect(parseDuration(`${h}h${m}m${s}s`)).toBe(((h * 60 + m) * 60 + s) * 1000);
      }),
    );
  });
});

describe('durationBetween', () => {
  it('takes both ends and what is between them, and says what they are', () => {
    const schema = durationBetween('1s', '1h');
    for (const text of ['1s', '1000ms', '59m', '1h']) expect(schema.safeParse(text).success).toBe(true);
    for (const text of ['0s', '999ms', '1h1ms']) {
      expect(schema.safeParse(text).error?.issues).toMatchObject([{ message: 'must be from 1s to 1h' }]);
    }
  });
});

describe('parseQuantity', () => {
  it.each([
    ['256Mi', 268_435_456],
    ['1.5Gi', 1_610_612_736],
    ['500M', 500_000_000],
    ['1048576', 1_048_576],
    ['0.3', 1],
    ['2k', 2_000],
  ])('reads %s', (text, bytes) => {
    expect(parseQuantity(text)).toBe(bytes);
  });
  it.each(['', '-1', '1e3', '1mi', '1 Gi', '1KiB', '9Pi', 'none', '1m'])(
    'refuses "%s" with a RangeError',
    (text) => {
      expect(() => parseQuantity(text)).toThrow(RangeError);
    },
  );
});

describe('imageVersion', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  it.each([
    ['r.io:5000/a/b', undefined, undefined],
    ['r.io:5000/a/b:v1', 'v1', undefined],
    [`r.io/a@${digest}`, undefined, digest],
    [`r.io/a:v1@${digest}`, 'v1', digest],
  ])('finds tag and digest of %s', (image, tag, found) => {
    expect(imageVersion(image)).toEqual({ tag, digest: found });
  });
});

const spec = (fields: object = {}) =>
  adapterSpecSchema.parse({ baseModel: 'tiny', source: { path: { path: 'a' } }, ...fields });

const fixed = (field: string) => [
  `spec.${field} is immutable: create a new Adapter (for example sql-v3) and point the AdapterRollout at it`,
];

describe('immutabilityProblems', () => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const other = `sha256:${'b'.repeat(64)}`;

  it('lets everything else change', () => {
    const after = spec({
      priority: 5,
      pinned: true,
      preload: { tier: 'Disk' },
      validation: { allowNoEffect: true },
    });
    expect(immutabilityProblems(spec(), after)).toEqual([]);
  });
  it.each([
    ['another base model', spec(), spec({ baseModel: 'other' }), 'baseModel'],
    ['another source', spec(), spec({ source: { path: { path: 'b' } } }), 'source'],
    ['a digest that appears', spec(), spec({ digest }), 'digest'],
    ['a digest that goes away', spec({ digest }), spec(), 'digest'],
    [
      'base model digests in another order',
      spec({ baseModelDigests: [digest, other] }),
      spec({ baseModelDigests: [other, digest] }),
      'baseModelDigests',
    ],
  ])('refuses %s', (_, before, after, field) => {
    expect(immutabilityProblems(before, after)).toEqual(fixed(field));
  });
});

describe('selects', () => {
  it('wants every label with its value', () => {
    expect(selects({ matchLabels: { a: '1', b: '2' } }, { a: '1', b: '2', c: '3' })).toBe(true);
    expect(selects({ matchLabels: { a: '1', b: '2' } }, { a: '1' })).toBe(false);
  });
  it('takes everything without labels, and nothing by a name that objects inherit', () => {
    expect(selects(undefined, {})).toBe(true);
    expect(selects({ matchLabels: {} }, {})).toBe(true);
    expect(selects({ matchLabels: { toString: 'x' } }, {})).toBe(false);
  });
});
