import { beforeAll, describe, expect, it } from 'vitest';
import { soakModel } from '../soak/models.ts';
import { soakNode } from '../soak/node-soak.ts';
import type { Report } from '../soak/report.ts';
import { chaosSeed, soakSeconds } from './long-form.ts';

const seconds = soakSeconds(30);
const seed = chaosSeed();
const limitMs = (seconds + 240) * 1000;

describe(`an answer of a node, while rollouts switch, adapters are evicted and the engine is killed (seed ${seed})`, () => {
  let report: Report;
  beforeAll(async () => {
    report = await soakNode({ model: soakModel('tiny'), seconds, seed, killEveryMs: seconds * 250 });
    console.log(JSON.stringify(report, undefined, 2));
  }, limitMs);

  it('is what the weights give whose digest it names', () => {
    expect(report.failures).toEqual([]);
    expect(report.compared).toBeGreaterThan(200);
    expect(report.nearTieShare).toBeLessThan(0.02);
  });

  it('was disturbed in every way', () => {
    const { kills, switches, ofCanary, ofBase, evictions, cancelled, lostByKill, sampledCompared } =
      report.counts;
    const happened = { kills, switches, ofCanary, ofBase, evictions, cancelled, lostByKill, sampledCompared };
    expect(Object.entries(happened).filter(([, count]) => count === 0)).toEqual([]);
  });
});
