import { describe, expect, it } from 'vitest';
import type { Pairs } from '../adapters/pairs.ts';
import { numbersAt } from '../session/kv-rows.fixture.ts';
import { Perturbation } from './perturbation.ts';

const sites = [
  { module: 'first', inFeatures: 16, outFeatures: 7 },
  { module: 'second', inFeatures: 64, outFeatures: 5 },
];

const featuresOf = { first: [16, 7], second: [64, 5] } as const;

const allOf = (pairs: Pairs): Readonly<Record<string, readonly number[]>> =>
  Object.fromEntries(
    [...pairs].flatMap(([module, { a, b }]) => {
      const [inFeatures, outFeatures] = featuresOf[module as keyof typeof featuresOf];
      return [
        [`lora.${module}.A`, [...numbersAt(a.address, inFeatures)]],
        [`lora.${module}.B`, [...numbersAt(b.address, outFeatures)]],
      ];
    }),
  );

const made = (seed: number): Readonly<Record<string, readonly number[]>> => {
  using perturbation = new Perturbation(sites, seed);
  return allOf(perturbation.pairs);
};

describe('a perturbation', () => {
  it('is an adapter of rank 1 at each of its sites and no other', () => {
    using perturbation = new Perturbation(sites, 1);
    expect([...perturbation.pairs].map(([module, { rank }]) => [module, rank])).toEqual([
      ['first', 1],
      ['second', 1],
    ]);
  });

  it('moves every output as much as the input is large: A has length 1, each value of B is 1 or -1', () => {
    const values = made(1);
    expect(new Set(values['lora.first.A']!.map(Math.abs))).toEqual(new Set([0.25]));
    expect(new Set(values['lora.second.A']!.map(Math.abs))).toEqual(new Set([0.125]));
    for (const name of ['lora.first.B', 'lora.second.B']) {
      expect(new Set(values[name]!.map(Math.abs))).toEqual(new Set([1]));
    }
    expect(new Set(values['lora.second.A']).size).toBe(2);
  });

  it('is the same for the same seed and another for another', () => {
    expect(made(2)).toEqual(made(2));
    expect(made(3)).not.toEqual(made(2));
  });
});
