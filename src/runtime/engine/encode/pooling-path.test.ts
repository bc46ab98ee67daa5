import { describe, expect, it } from 'vitest';
import { firstState, meanState, unitVector } from './pooling-path.ts';

/** Two tokens and one of padding. */
const states = { values: Float32Array.of(1, 2, 3, 6, 100, 100), size: 2, length: 2 };

describe('pooling', () => {
  it('takes the mean of the tokens of the text and leaves padding out', () => {
    expect([...meanState(states)]).toEqual([2, 4]);
  });

  it('takes the state of the first token', () => {
    expect([...firstState(states)]).toEqual([1, 2]);
  });

  it('keeps a value that is not finite: the answer must not look right', () => {
    expect(meanState({ ...states, values: Float32Array.of(1, NaN, 3, 6) })[1]).toBeNaN();
  });

  it('adds up in float64: a thousand equal states have their mean', () => {
    const values = new Float32Array(1000).fill(0.1);
    expect(meanState({ values, size: 1, length: 1000 })[0]).toBe(Math.fround(0.1));
  });
});

describe('a unit vector', () => {
  it('has the length 1 and the direction of the vector', () => {
    expect([...unitVector(Float32Array.of(3, 4))]).toEqual([Math.fround(0.6), Math.fround(0.8)]);
  });

  it('stays zero where there is no direction', () => {
    expect([...unitVector(Float32Array.of(0, 0))]).toEqual([0, 0]);
  });
});
