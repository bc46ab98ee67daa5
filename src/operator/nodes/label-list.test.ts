import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLabelPattern, LabelList } from './label-list.ts';

describe('a list of label keys', () => {
  const list = new LabelList(['accelerator', 'topology.kubernetes.io/zone', 'adaptlet.io/*']);

  it.each<[string, boolean]>([
    ['accelerator', true],
    ['accelerator2', false],
    ['topology.kubernetes.io/zone', true],
    ['topology.kubernetes.io/region', false],
    ['adaptlet.io/site', true],
    ['adaptlet.io', false],
    ['x.adaptlet.io/site', false],
    ['adaptlet.iox/site', false],
  ])('knows of %s whether it is in it: %s', (key, is) => {
    expect(list.has(key)).toBe(is);
  });

  it('divides labels into those that are in it and those that are not', () => {
    const key = fc.constantFrom('accelerator', 'adaptlet.io/site', 'adaptlet.io/x', 'site', 'team', 'zone');
    fc.assert(
      fc.property(fc.dictionary(key, fc.string()), (labels) => {
        const [picked, left] = [list.pick(labels), list.omit(labels)];
        expect({ ...picked, ...left }).toEqual(labels);
        expect(Object.keys(picked).every((one) => list.has(one))).toBe(true);
        expect(Object.keys(left).some((one) => list.has(one))).toBe(false);
      }),
    );
  });

  it.each<[string, boolean]>([
    ['kubernetes.io/arch', true],
    ['accelerator', true],
    ['adaptlet.io/*', true],
    ['*', false],
    ['adaptlet.io/si*', false],
    ['Adaptlet.io/*', false],
    ['a b', false],
    ['', false],
  ])('may be written as %j: %s', (pattern, is) => {
    expect(isLabelPattern(pattern)).toBe(is);
  });
});
