import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../random.ts';
import { Choice } from './choice.ts';
import { makeSampler } from './sampling.ts';

/** Tokens 1, 33 and 70 may come; the likeliest ones may not. */
const tokens = 96;
const may = [1, 33, 70];
const mask = new Uint32Array(tokens / 32);
for (const id of may) mask[id >> 5] = (mask[id >> 5] ?? 0) | (1 << (id & 31));
const logits = Float32Array.from({ length: tokens }, (_, id) => (id === 5 ? 80 : id === 33 ? -3 : -5));
const all = { temperature: 1, topK: 0, topP: 1 };

describe('a token that may not come', () => {
  it.each([
    ['greedily', { ...all, temperature: 0 }],
    ['drawn', all],
    ['of the likeliest two', { ...all, topK: 2 }],
    ['of more than may come', { ...all, topK: 50 }],
    ['of half of the probability', { ...all, topP: 0.5 }],
    ['of those above a floor', { ...all, minP: 0.01 }],
    ['with all filters', { temperature: 0.01, topK: 3, topP: 0.99, minP: 0.001 }],
    [
      'with penalties and bias',
      { ...all, repetitionPenalty: 2, frequencyPenalty: 2, logitBias: [[5, 100]] as const },
    ],
  ])('does not come, %s', (_, sampling) => {
    const random = seededRandom(1);
    const sampler = makeSampler(sampling, random, { mask: () => mask });
    const before = logits.slice();
    for (let draw = 0; draw < 300; draw += 1) expect(may).toContain(sampler(logits));
    expect(logits).toEqual(before);
  });
});

it.each([1e-320, 1e-30, 1e30, 1e38, 1e300, Number.MAX_VALUE])(
  'a token that may not come does not come at temperature %d, and any that may can',
  (temperature) => {
    const bans = { next: () => ({ never: [70], last: [] }), took: () => undefined };
    for (const filters of [{}, { topK: 40 }, { topP: 0.9999 }, { minP: 1e-9 }]) {
      const sampler = makeSampler({ ...all, ...filters, temperature }, seededRandom(1), {
        mask: () => mask,
        bans,
      });
      const drawn = new Set(Array.from({ length: 100 }, () => sampler(logits)));
      expect(drawn).toEqual(new Set(temperature < 1 ? [33] : [1, 33]));
    }
  },
);

it('the token is the one that is drawn where there are no others', () => {
  const someLogits = fc.array(
    fc.tuple(
      fc.oneof(fc.float({ min: -20, max: 20, noNaN: true }), fc.integer({ min: -2, max: 2 })),
      fc.boolean(),
    ),
    { minLength: 1, maxLength: 200 },
  );
  const options = fc.record({
    temperature: fc.double({ min: 0.01, max: 10, noNaN: true }),
    topK: fc.nat(250),
    topP: fc.oneof(fc.constant(1), fc.double({ min: 0.01, max: 1, noNaN: true })),
    minP: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 1, noNaN: true })),
  });
  const [own, others] = [new Choice(), new Choice()];
  fc.assert(
    fc.property(someLogits, options, fc.nat(), (given, sampling, seed) => {
      const list = Float32Array.from(given, ([logit]) => logit);
      const ids = [...given.keys()].filter((id) => given[id]?.[1]);
      fc.pre(ids.length > 0);
      const bits = new Uint32Array(Math.ceil(list.length / 32));
      for (const id of ids) bits[id >> 5] = (bits[id >> 5] ?? 0) | (1 << (id & 31));
      const masked = makeSampler(sampling, seededRandom(seed), { choice: own, mask: () => bits });
      const alone = makeSampler(sampling, seededRandom(seed), { choice: others });
      const few = Float32Array.from(ids, (id) => list[id] ?? 0);
      for (let draw = 0; draw < 5; draw += 1) expect(masked(list)).toBe(ids[alone(few)]);
    }),
    { numRuns: 500 },
  );
});

it('logits that are no numbers are told, also of tokens that may not come', () => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    const broken = logits.slice();
    broken[5] = bad;
    for (const temperature of [0, 1]) {
      const sampler = makeSampler({ ...all, temperature }, seededRandom(1), { mask: () => mask });
      expect(() => sampler(broken)).toThrow(expect.objectContaining({ code: 'LOGITS_NOT_FINITE' }));
    }
  }
});

it('a mask of fewer words than there are tokens lets none of the others come', () => {
  const sampler = makeSampler(all, seededRandom(1), { mask: () => mask.subarray(0, 1) });
  for (let draw = 0; draw < 100; draw += 1) expect(sampler(logits)).toBe(1);
});

it('a penalty knows the tokens that came without being picked', () => {
  const two = Float32Array.from([1, 0.9]);
  const sampler = makeSampler({ ...all, temperature: 0, presencePenalty: 0.5 }, () => 0);
  expect(sampler(two)).toBe(0);
  sampler.came(1);
  expect(sampler(two)).toBe(0);
  const other = makeSampler({ ...all, temperature: 0, presencePenalty: 0.5 }, () => 0);
  other.came(0);
  expect(other(two)).toBe(1);
});
