import { describe, expect, it } from 'vitest';
import { type Answer, lostArm, wrongDigest, wrongText } from './answers.ts';
import { Calm } from './calm.ts';
import { fitOf } from './growth.ts';
import type { Standing } from './histories.ts';

const answer = (more: Partial<Answer> = {}): Answer => ({
  node: 0,
  life: 0,
  user: 'u',
  startedAt: 0,
  endedAt: 1,
  arm: 'stable',
  digest: 'a',
  text: ' A',
  ...more,
});
const standing = (more: Partial<Standing> = {}): Standing => ({
  at: 0,
  stable: 'a',
  canary: 'b',
  attempt: 1,
  weight: 10,
  ...more,
});
const known = (standings: readonly Standing[], isWhole = true) => ({
  standings,
  isWhole,
  own: new Set(['a', 'b', 'c']),
  texts: new Map([
    ['a', ' A'],
    ['b', ' B'],
  ]),
});

describe('an answer', () => {
  it('may be of what was stable or canary in its time, of nothing else, and of no other name at all', () => {
    expect(wrongDigest(answer(), known([standing()]))).toBeUndefined();
    expect(wrongDigest(answer({ arm: 'canary', digest: 'b' }), known([standing()]))).toBeUndefined();
    expect(wrongDigest(answer({ digest: 'c' }), known([standing()]))).toMatch(/c was not stable/);
    expect(wrongDigest(answer({ digest: 'b' }), known([standing()]))).toMatch(/b was not stable/);
    expect(wrongDigest(answer({ digest: 'c' }), known([standing()], false))).toBeUndefined();
    expect(wrongDigest(answer({ digest: 'x' }), known([standing()], false))).toMatch(/of no version/);
    expect(wrongDigest(answer({ arm: 'base' }), known([standing()]))).toMatch(/the arm is base/);
  });

  it('has the text of the weights that it names', () => {
    expect(wrongText(answer(), known([]))).toBeUndefined();
    expect(wrongText(answer({ text: ' B' }), known([]))).toMatch(/" B" instead of " A"/);
  });

  it('is of the canary again while its weight only rose, and when it became stable', () => {
    const first = answer({ arm: 'canary', digest: 'b' });
    const risen = [standing(), standing({ weight: 50 })];
    const becameStable = [...risen, standing({ stable: 'b', canary: '', weight: 0 })];
    expect(lostArm(first, answer({ digest: 'a' }), known(risen))).toMatch(
      /had the canary b and then stable a/,
    );
    expect(lostArm(first, answer({ digest: 'a' }), known(becameStable))).toMatch(/had the canary/);
    expect(lostArm(first, answer({ digest: 'b' }), known(becameStable))).toBeUndefined();
    expect(lostArm(first, answer(), known([...risen, standing({ weight: 0 })]))).toBeUndefined();
    expect(lostArm(first, answer(), known([...risen, standing({ canary: 'c' })]))).toBeUndefined();
    const followed = [...becameStable, standing({ stable: 'b', canary: 'c' })];
    expect(lostArm(first, answer({ arm: 'canary', digest: 'c' }), known(followed))).toBeUndefined();
    expect(lostArm(answer(), answer({ arm: 'canary', digest: 'b' }), known(risen))).toBeUndefined();
  });
});

describe('calm', () => {
  it('is over for a thing from its disturbance until 30 s after it, and only for that thing', () => {
    let now = 100_000;
    const calm = new Calm(() => now);
    const end = calm.disturb('a');
    now = 110_000;
    end();
    expect(calm.lastCalm(['a'], 105_000)).toBe(100_000);
    expect(calm.lastCalm(['a', 'b'], 139_000)).toBe(100_000);
    expect(calm.lastCalm(['b'], 105_000)).toBe(105_000);
    expect(calm.lastCalm(['a'], 141_000)).toBe(141_000);
    expect(calm.isCalm(['a'], 130_000, 135_000)).toBe(false);
    expect(calm.isCalm(['a'], 140_000, 145_000)).toBe(true);
    expect(calm.isCalm(['a'], 90_000, 99_000)).toBe(true);
  });

  it('is as old as the first of disturbances that overlap', () => {
    let now = 50_000;
    const calm = new Calm(() => now);
    const first = calm.disturb('a');
    now = 60_000;
    calm.disturb('b')();
    now = 70_000;
    first();
    now = 95_000;
    calm.disturb('b')();
    expect(calm.lastCalm(['a', 'b'], 120_000)).toBe(50_000);
  });
});

describe('a fit', () => {
  const samples = (pid: number, from: number, values: readonly number[]) =>
    values.map((value, i) => ({ at: from + i * 100, pid, value }));
  const range = { from: 0, to: 1000, isJudged: true };
  it('judges what grew in a process that lived throughout', () => {
    const grown = samples(1, 0, [100, 110, 120, 130, 140, 150, 160, 170, 180, 190, 200]);
    expect(fitOf('x', 'rssMib', grown, range)).toMatchObject({ gained: 100, limit: 32, mean: 150 });
    expect(fitOf('x', 'rssMib', samples(1, 0, Array(11).fill(100)), range)?.gained).toBe(0);
  });

  it('leaves a process unjudged that was started anew', () => {
    const both = [...samples(1, 0, [5, 5, 5, 5, 5]), ...samples(2, 500, [1, 2, 3, 4, 5, 6])];
    expect(fitOf('x', 'rssMib', both, range)).not.toHaveProperty('limit');
    expect(fitOf('x', 'rssMib', both, range)?.samples).toBe(6);
  });
});
