import { describe, expect, it } from 'vitest';
import type { Sampling } from '../../src/runtime/engine/engine.ts';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { type Alone, compare, type Received } from './compare.ts';
import { greedyDistance, sampledDistance } from './distance.ts';

const greedy: Sampling = { temperature: 0, topK: 0, topP: 1 };
const sampled: Sampling = { temperature: 0.5, topK: 0, topP: 1, seed: 7 };
const alone: Alone = { ids: [5, 6, 7, 2], text: 'abc', finish: 'stop' };

const verdict = (received: Received, { maxTokens = 10, away = 1, epsilon = 1e-3 } = {}) =>
  compare(received, alone, { maxTokens, epsilon, distance: () => Promise.resolve(away) });

describe('compare', () => {
  it('finds an answer with the same tokens, text and end the same', async () => {
    expect(await verdict({ ...alone })).toEqual({ kind: 'same' });
  });

  it('finds another token different, and says where', async () => {
    expect(await verdict({ ...alone, ids: [5, 6, 8, 2] })).toEqual({
      kind: 'different',
      at: 2,
      distance: 1,
      why: 'token 2 is 8, not 7',
    });
  });

  it('takes another token for a near tie only below epsilon', async () => {
    const received = { ...alone, ids: [5, 9] };
    expect(await verdict(received, { away: 0.000_9 })).toEqual({ kind: 'nearTie', at: 1, distance: 0.000_9 });
    expect(await verdict(received, { away: 0.001 })).toMatchObject({ kind: 'different' });
    expect(await verdict(received, { away: NaN })).toMatchObject({ kind: 'different' });
  });

  it('knows no near tie where epsilon is 0', async () => {
    const received = { ...alone, ids: [5, 9] };
    for (const away of [0, 1e-9])
      expect(await verdict(received, { away, epsilon: 0 })).toMatchObject({ kind: 'different', at: 1 });
  });

  it('does not ask about tokens behind the first that differs', async () => {
    const asked: number[] = [];
    await compare({ ...alone, ids: [5, 9, 9, 9] }, alone, {
      maxTokens: 10,
      epsilon: 1e-3,
      distance: (at) => {
        asked.push(at);
        return Promise.resolve(0);
      },
    });
    expect(asked).toEqual([1]);
  });

  it('finds an answer that ended too early or went on too long different', async () => {
    expect(await verdict({ ids: [5, 6], text: 'ab', finish: 'stop' })).toMatchObject({ kind: 'different' });
    expect(await verdict({ ids: [5, 6], text: 'ab', finish: 'length' })).toMatchObject({ kind: 'different' });
    expect(await verdict({ ids: [5, 6, 7, 2, 4], text: 'abcd', finish: 'length' })).toMatchObject({
      kind: 'different',
      at: 4,
    });
  });

  it('wants `length` where the limit cut the answer, and `stop` where its end token came', async () => {
    const cut = { ids: [5, 6], text: 'ab' };
    expect(await verdict({ ...cut, finish: 'length' }, { maxTokens: 2 })).toEqual({ kind: 'same' });
    expect(await verdict({ ...cut, finish: 'stop' }, { maxTokens: 2 })).toMatchObject({ kind: 'different' });
    expect(await verdict({ ...alone, finish: 'length' })).toMatchObject({ kind: 'different' });
  });

  it('finds another text of the same tokens different', async () => {
    expect(await verdict({ ...alone, text: 'abd' })).toMatchObject({ why: 'its text is another one' });
  });

  it('compares what came of an answer that was given up, but not its end', async () => {
    expect(await verdict({ ids: [5], text: 'a' })).toEqual({ kind: 'same' });
    expect(await verdict({ ids: [], text: '' })).toEqual({ kind: 'same' });
    expect(await verdict({ ids: [6], text: 'b' })).toMatchObject({ kind: 'different', at: 0 });
  });
});

describe('the distance of greedy tokens', () => {
  const logprobs = new Map([
    [5, -1],
    [6, -1.2],
    [7, -9],
  ]);
  it('is the difference of their logits, with the bias of the request', () => {
    expect(greedyDistance(logprobs, greedy, 6, 5)).toBeCloseTo(0.2);
    expect(greedyDistance(logprobs, { ...greedy, logitBias: [[6, 0.2]] }, 6, 5)).toBeCloseTo(0);
  });
  it('is infinite where the model did not list the token', () => {
    expect(greedyDistance(logprobs, greedy, 8, 5)).toBe(Infinity);
  });
});

describe('the distance of a drawn token', () => {
  const even = new Map(Array.from({ length: 10 }, (_, id) => [id, Math.log(0.1)]));
  const at = 3;
  const draws = seededRandom(sampled.seed ?? 0);
  const u = Array.from({ length: at + 1 }, draws)[at] ?? 0;
  const drawn = Math.floor(u * 10);

  it('is 0 for the token that the draw gives', () => {
    expect(sampledDistance(even, sampled, at, drawn)).toBe(0);
  });
  it('is what the odds of the nearer edge have to move for the others, times the temperature', () => {
    const next = drawn + 1;
    const edge = next / 10;
    const odds = Math.log(edge / (1 - edge)) - Math.log(u / (1 - u));
    expect(sampledDistance(even, sampled, at, next)).toBeCloseTo(0.5 * odds);
    expect(sampledDistance(even, sampled, at, next)).toBeGreaterThan(0.001);
  });
  it('bounds what moved logits can do: noise below it never gives the token', () => {
    const random = seededRandom(99);
    for (let round = 0; round < 2000; round += 1) {
      const logits = Array.from({ length: 12 }, () => random() * 4);
      const noise = 0.2;
      const moved = logits.map((logit) => logit + (random() - 0.5) * noise);
      const taken = drawFrom(moved, 0.5, u);
      // Differences of two logits move by less than the noise.
      const distance = sampledDistance(new Map(logits.entries()), sampled, at, taken);
      expect(distance).toBeLessThanOrEqual(noise);
    }
  });
  it('is infinite where a filter could have changed the set', () => {
    expect(sampledDistance(even, { ...sampled, topP: 0.9 }, at, drawn)).toBe(Infinity);
    expect(sampledDistance(even, { ...sampled, topK: 5 }, at, drawn)).toBe(Infinity);
  });
});

/** The token that a draw takes of logits, as the engine does it. */
function drawFrom(logits: readonly number[], temperature: number, u: number): number {
  const weights = logits.map((logit) => Math.exp(logit / temperature));
  let left = u * weights.reduce((sum, weight) => sum + weight, 0);
  return weights.findIndex((weight) => {
    left -= weight;
    return left < 0;
  });
}
