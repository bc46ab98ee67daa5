import { expect, it } from 'vitest';
import { soak } from '../../fleet-soak/soak.ts';
import { soakSeconds } from '../long-form.ts';

/** The short form of `npm run -s soak`. */
const [seed, seconds] = [20, soakSeconds(60)];

it(
  `a fleet in which everything breaks keeps what it promises (seed ${seed})`,
  async () => {
    const report = await soak({ seed, minutes: seconds / 60, hollows: 12, commit: '', say: () => undefined });
    expect(report.violations).toEqual([]);
    // What was not done was not tried.
    expect(report.requests['answered']).toBeGreaterThan(100);
    expect(report.rollouts['revisions']).toBeGreaterThan(20);
    expect(report.inForce['compared']).toBeGreaterThan(50);
    expect(Object.keys(report.faults).length).toBeGreaterThan(2);
    expect(report.newestAfterSeconds).toBeLessThan(30);
  },
  seconds * 1000 + 400_000,
);
