import { beforeAll, describe, expect, it } from 'vitest';
import { soakModel } from '../soak/models.ts';
import type { Report } from '../soak/report.ts';
import { soak } from '../soak/soak.ts';
import { chaosSeed } from '../support/random.ts';
import { soakSeconds } from './long-form.ts';

const seconds = soakSeconds(30);
const seed = chaosSeed();
const leastCompared = 200;
const limitMs = (5 * seconds + 150) * 1000;
const model = soakModel('tiny');

/** A near tie need not happen; the others are of a whole node. */
const optional: readonly string[] = ['nearTies', 'switches', 'ofCanary', 'evictions'];
/** What has not happened yet. */
const missing = ({ counts }: Report): string[] =>
  Object.entries(counts).flatMap(([what, count]) => (count === 0 && !optional.includes(what) ? [what] : []));

describe(`an answer, while others run, leave and fail, and adapters come and go (ADAPTLET_CHAOS_SEED=${seed})`, () => {
  let report: Report;
  beforeAll(async () => {
    const killEveryMs = Math.min(20_000, seconds * 250);
    const isEnough = (soFar: Report): boolean =>
      missing(soFar).length === 0 && soFar.compared > leastCompared;
    report = await soak({ model, seconds, isEnough, seed, killEveryMs });
    console.log(JSON.stringify(report, undefined, 2));
  }, limitMs);

  it('is the one that its adapter gives alone', () => {
    expect(report.failures).toEqual([]);
    expect(report.compared).toBeGreaterThan(leastCompared);
  });

  it('differs by a near tie in less than 2 of 100', () => {
    expect(report.nearTieShare).toBeLessThan(0.02);
  });

  it('was disturbed in every way, by adapters that all answer in another way', () => {
    const { different, counts } = report;
    expect(different).toBeGreaterThan(0.9);
    expect(counts.mostAtOnce).toBeGreaterThan(8);
    expect([counts.switches, counts.ofCanary, counts.evictions]).toEqual([0, 0, 0]);
    expect(counts.nearTies).toBeLessThan(report.compared);
    expect(missing(report)).toEqual([]);
  });
});

describe(`a soak (ADAPTLET_CHAOS_SEED=${seed})`, () => {
  it(
    'finds an adapter that answers with the weights of another',
    async () => {
      const [wrong, neighbour] = ['r8-q-k-v-o', 'r8-down'] as const;
      // A probe, of which there are few, finds it too.
      const wrongAnswers = ({ failures }: Report) =>
        failures.filter(({ kind }) => kind === 'different answer');
      const isEnough = (soFar: Report): boolean => wrongAnswers(soFar).length > 0;
      const options = { model, seconds: 12, isEnough, seed, killEveryMs: 1e6 };
      const report = await soak({ ...options, mixedUp: [wrong, neighbour] });
      const answers = wrongAnswers(report);
      expect(answers.length, JSON.stringify(report)).toBeGreaterThan(0);
      expect(new Set(answers.map(({ details }) => details['adapter']))).toEqual(new Set([wrong]));
    },
    limitMs,
  );
});
