import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArmCounter } from './counts.ts';
import { withFairShares } from './fair-shares.ts';
import { evenArm, seededRandom, stratum } from './judge.fixture.ts';
import { judge } from './judge.ts';
import type { Counters } from './reports.ts';
import { type JudgeSpec, judgeSpecSchema } from './spec.ts';
import { judgeTogether, suspectsOf, withoutExtremes } from './together.ts';
import type { Verdict } from './verdict.ts';

const errors = judgeSpecSchema.parse({ type: 'sequential', measure: 'errorRatio' });
const verdicts = ['Pass', 'Running', 'Inconclusive', 'Fail'] as const;
const rank = { Pass: 0, Running: 0, Inconclusive: 1, Fail: 2 };

describe('a verdict without extremes', () => {
  /** Any rule at all over up to six items, one of which is false. */
  const rules = fc.record({
    items: fc.integer({ min: 3, max: 6 }).map((n) => Array.from({ length: n }, (_, i) => i)),
    says: fc.array(fc.constantFrom(...verdicts), { minLength: 64, maxLength: 64 }),
  });
  const ruleOf =
    (says: readonly Verdict['verdict'][]) =>
    (kept: readonly number[]): Verdict => {
      const at = kept.reduce((bits, item) => bits | (1 << item), 0);
      return { verdict: says[at] ?? 'Pass', message: '' };
    };
  const without = (items: readonly number[], ...gone: readonly number[]) =>
    items.filter((item) => !gone.includes(item));

  it('is backed, if it is bad, by what all but any one item and one more say', () => {
    fc.assert(
      fc.property(rules, ({ items, says }) => {
        const rule = ruleOf(says);
        const bad = rank[withoutExtremes(items, items, rule).verdict];
        for (const liar of items) {
          const honest = without(items, liar);
          const backed = honest.some((one) => rank[rule(without(honest, one)).verdict] >= bad);
          expect(backed).toBe(true);
        }
      }),
    );
  });

  it('is as bad as what is true says, whichever one of the others is left out, whatever one item says', () => {
    fc.assert(
      fc.property(rules, ({ items, says }) => {
        const rule = ruleOf(says);
        const bad = rank[withoutExtremes(items, items, rule).verdict];
        for (const liar of items) {
          const honest = without(items, liar);
          const robust = Math.min(...honest.map((one) => rank[rule(without(honest, one)).verdict]));
          expect(bad).toBeGreaterThanOrEqual(robust);
        }
      }),
    );
  });

  it('is that of nothing where there is one item or none', () => {
    const rule = (kept: readonly number[]): Verdict => ({
      verdict: kept.length > 0 ? 'Fail' : 'Running',
      message: '',
    });
    expect(withoutExtremes([1], [1], rule).verdict).toBe('Running');
    expect(withoutExtremes([], [], rule).verdict).toBe('Running');
  });
});

/** Nodes with so many requests of each arm and so many errors of the canary. */
const fleet = (...nodes: readonly (readonly [requests: number, errors: number])[]): Counters =>
  nodes.map(([requests, failed], i) =>
    stratum(evenArm(requests, requests / 100), evenArm(requests, requests / 100 + failed), 50, `n${i}`),
  );
const verdictOf = (counters: Counters, spec: JudgeSpec = errors) =>
  judgeTogether(withFairShares(counters), spec).verdict;
const of = (count: number, requests: number, failed: number) =>
  Array.from({ length: count }, () => [requests, failed] as const);

describe('judging together', () => {
  it('finds harm that all nodes see, and says so of all observations', () => {
    const counters = fleet(...of(10, 200, 10));
    expect(judgeTogether(counters, errors)).toEqual(judge(counters, errors));
    expect(verdictOf(counters)).toBe('Fail');
  });

  it('does not believe one node alone, however much it counted, of few and of many', () => {
    for (const honest of [4, 9, 40, 200]) {
      const lie = fleet(...of(honest, 200, 0), [200_000, 100_000]);
      expect(judge(lie, errors).verdict).toBe('Fail');
      expect(verdictOf(lie)).not.toBe('Fail');
    }
    const fair = withFairShares(fleet(...of(4, 200, 0), [200_000, 100_000]));
    expect(judge(fair, errors).verdict).toBe('Fail');
    expect(judgeTogether(fair, errors).message).toContain('none decides alone');
  });

  it('does not let one node hide what the others see', () => {
    const hidden: Counters = [
      ...fleet(...of(9, 300, 15)),
      stratum(evenArm(200_000, 190_000), evenArm(200_000, 0), 50, 'liar'),
    ];
    expect(judge(hidden, errors).verdict).not.toBe('Fail');
    expect(verdictOf(hidden)).toBe('Fail');
  });

  it('needs three nodes to find harm, whatever two of them say', () => {
    expect(verdictOf(fleet([5000, 1000], [5000, 1000]))).toBe('Running');
    expect(verdictOf(fleet([5000, 1000], [5000, 1000], [5000, 1000]))).toBe('Fail');
  });

  it('leaves a verdict of many nodes with little each to all of them', () => {
    const random = seededRandom(3);
    const arm = (ratio: number): ArmCounter => {
      const counter = new ArmCounter();
      for (let bucket = 0; bucket < 64; bucket += 1)
        if (random() < ratio) counter.failed(bucket);
        else counter.answered(bucket, 100);
      return counter;
    };
    const many = Array.from({ length: 100 }, (_, i) => stratum(arm(0.01), arm(0.04), 50, `n${i}`));
    expect(judgeTogether(withFairShares(many), errors)).toMatchObject({ verdict: 'Fail' });
  });
});

describe('who may be left out', () => {
  it('is everybody of a few, and of many those with the largest and smallest numbers', () => {
    const few = Array.from({ length: 12 }, (_, i) => i);
    expect(suspectsOf(few, (i) => [i])).toEqual(few);
    const many = Array.from({ length: 100 }, (_, i) => i);
    expect(suspectsOf(many, (i) => [i, Math.abs(i - 50)])).toEqual([0, 99, 50]);
  });
});

describe('an honest fleet', () => {
  it('keeps its level: canaries like stable are stopped no more often than by all counts together', () => {
    const random = seededRandom(5);
    let stopped = 0;
    for (let run = 0; run < 150; run += 1) {
      // Requests are spread as 1, 1/2, 1/3 ... over the nodes, whose errors differ.
      const nodes = Array.from({ length: 8 }, (_, i) => ({
        stable: new ArmCounter(),
        canary: new ArmCounter(),
        share: 1 / (i + 1),
        errors: 0.02 * (1 + i / 4),
      }));
      const counters = nodes.map(({ stable, canary }, i) => stratum(stable, canary, 50, `n${i}`));
      let isStopped = false;
      for (let look = 0; look < 12 && !isStopped; look += 1) {
        for (const { stable, canary, share, errors: ratio } of nodes) {
          for (let i = 0; i < 100 * share; i += 1) {
            for (const arm of [stable, canary]) {
              const bucket = Math.floor(random() * 64);
              if (random() < ratio) arm.failed(bucket);
              else arm.answered(bucket, 100);
            }
          }
        }
        isStopped = verdictOf(counters) === 'Fail';
      }
      stopped += isStopped ? 1 : 0;
    }
    // alpha is 0.05.
    expect(stopped / 150).toBeLessThanOrEqual(0.05);
  });
});
