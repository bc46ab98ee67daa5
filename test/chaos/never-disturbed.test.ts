import { beforeAll, describe, expect, it } from 'vitest';
import { soakModel } from '../soak/models.ts';
import type { Report } from '../soak/report.ts';
import { soak } from '../soak/soak.ts';
import { chaosSeed, soakSeconds } from './long-form.ts';

const seconds = soakSeconds(30);
const seed = chaosSeed();
const limitMs = (seconds + 150) * 1000;
const model = soakModel('tiny');

describe(`an answer, while others run, leave and fail, and adapters come and go (seed ${seed})`, () => {
  let report: Report;
  beforeAll(async () => {
    report = await soak({ model, seconds, seed, killEveryMs: Math.min(20_000, seconds * 250) });
    console.log(JSON.stringify(report, undefined, 2));
  }, limitMs);

  it('is the one that its adapter gives alone', () => {
    expect(report.failures).toEqual([]);
    expect(report.compared).toBeGreaterThan(200);
  });

  it('differs by a near tie in less than 2 of 100', () => {
    expect(report.nearTieShare).toBeLessThan(0.02);
  });

  it('was disturbed in every way, by adapters that all answer in another way', () => {
    const { different, counts } = report;
    expect(different).toBeGreaterThan(0.9);
    expect(counts.mostAtOnce).toBeGreaterThan(8);
    // A near tie need not happen; these are of a whole node.
    const { nearTies, switches, ofCanary, evictions, ...must } = counts;
    expect([switches, ofCanary, evictions]).toEqual([0, 0, 0]);
    expect(nearTies).toBeLessThan(report.compared);
    expect(Object.entries(must).filter(([, count]) => count === 0)).toEqual([]);
  });
});

describe(`a soak (seed ${seed})`, () => {
  it(
    'finds an adapter that answers with the weights of another',
    async () => {
      const [wrong, neighbour] = ['r8-q-k-v-o', 'r8-down'] as const;
      const report = await soak({ model, seconds: 60, seed, killEveryMs: 1e6, mixedUp: [wrong, neighbour] });
      const answers = report.failures.filter(({ kind }) => kind === 'different answer');
      expect(answers.length).toBeGreaterThan(0);
      expect(new Set(answers.map(({ details }) => details['adapter']))).toEqual(new Set([wrong]));
    },
    limitMs,
  );
});
