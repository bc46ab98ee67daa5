import { describe, expect, it } from 'vitest';
import type { LoraTensors } from '../adapters/feeds.ts';
import type { OrtTensor } from '../ort/tensor.ts';
import { elementsOf } from '../ort/tensor.ts';
import { numbersAt } from '../session/kv-rows.fixture.ts';
import { Perturbation } from './perturbation.ts';

const sites = [
  { module: 'first', inFeatures: 16, outFeatures: 7 },
  { module: 'second', inFeatures: 64, outFeatures: 5 },
];

const valuesOf = (tensor: OrtTensor): readonly number[] => [
  ...numbersAt(tensor.address, elementsOf(tensor.shape)),
];

const allOf = (tensors: LoraTensors): Readonly<Record<string, readonly number[]>> =>
  Object.fromEntries([...tensors].map(([name, tensor]) => [name, valuesOf(tensor)]));

const made = (seed: number): Readonly<Record<string, readonly number[]>> => {
  using perturbation = new Perturbation(sites, seed);
  return allOf(perturbation.tensors());
};

describe('a perturbation', () => {
  it('is an adapter of rank 1 at each of its sites and no other', () => {
    using perturbation = new Perturbation(sites, 1);
    const shapes = [...perturbation.tensors()].map(([name, { shape }]) => [name, shape]);
    expect(shapes).toEqual([
      ['lora.first.A', [1, 16]],
      ['lora.first.B', [1, 7]],
      ['lora.second.A', [1, 64]],
      ['lora.second.B', [1, 5]],
    ]);
    expect(perturbation.rank).toBe(1);
    expect(perturbation.pairAt('third')).toBeUndefined();
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

  it('says of each pair where its tensors are', () => {
    using perturbation = new Perturbation(sites, 1);
    const tensors = perturbation.tensors();
    for (const { module } of sites) {
      expect(perturbation.pairAt(module)).toEqual({
        rank: 1,
        a: tensors.get(`lora.${module}.A`)!.address,
        b: tensors.get(`lora.${module}.B`)!.address,
      });
    }
  });
});
