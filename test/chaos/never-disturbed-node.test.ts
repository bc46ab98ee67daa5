import { beforeAll, describe, expect, it } from 'vitest';
import { soakModel } from '../soak/models.ts';
import { soakNode } from '../soak/node-soak.ts';
import type { Report } from '../soak/report.ts';
import { chaosSeed } from '../support/random.ts';
import { soakSeconds } from './long-form.ts';

const seconds = soakSeconds(30);
const seed = chaosSeed();
const limitMs = (5 * seconds + 240) * 1000;
const leastCompared = 200;

/** What has not happened yet. */
const missing = ({ counts }: Report): string[] => {
  const { kills, switches, ofCanary, ofBase, evictions, cancelled, lostByKill, sampledCompared } = counts;
  const must = { kills, switches, ofCanary, ofBase, evictions, cancelled, lostByKill, sampledCompared };
  return Object.entries(must).flatMap(([what, count]) => (count === 0 ? [what] : []));
};

describe(`an answer of a node, while rollouts switch, adapters are evicted and the engine is killed (ADAPTLET_CHAOS_SEED=${seed})`, () => {
  let report: Report;
  beforeAll(async () => {
    const isEnough = (soFar: Report): boolean =>
      missing(soFar).length === 0 && soFar.compared > leastCompared;
    report = await soakNode({
      model: soakModel('tiny'),
      seconds,
      isEnough,
      seed,
      killEveryMs: seconds * 250,
    });
    console.log(JSON.stringify(report, undefined, 2));
  }, limitMs);

  it('is what the weights give whose digest it names', () => {
    expect(report.failures).toEqual([]);
    expect(report.compared).toBeGreaterThan(leastCompared);
    expect(report.nearTieShare).toBeLessThan(0.02);
  });

  it('was disturbed in every way', () => {
    expect(missing(report)).toEqual([]);
  });
});
