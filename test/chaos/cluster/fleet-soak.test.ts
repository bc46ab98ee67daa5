import { expect, it } from 'vitest';
import { soak } from '../../fleet-soak/soak.ts';
import { hasRegistry } from '../../support/registry.ts';
import { soakSeconds } from '../long-form.ts';

/** The short form of `npm run -s soak`. */
const [seed, seconds] = [20, soakSeconds(60)];
/** What breaks a thing of each kind, by how the names of faults begin. */
const kinds = [
  /^links of (all )?hollow runtimes/m,
  /^clocks of hollow runtimes/m,
  /^(API server|etcd|history)/m,
  /^link of a real node/m,
  /^real node/m,
  /^operator/m,
  ...(hasRegistry ? [/^registry/m] : []),
];

it(
  `a fleet in which everything breaks keeps what it promises (seed ${seed})`,
  async () => {
    const violations: string[] = [];
    const say = (text: string) => void (text.startsWith('VIOLATION') && violations.push(text));
    const report = await soak({ seed, minutes: seconds / 60, hollows: 12, commit: '', say });
    expect(report.violations, violations.join('\n')).toEqual([]);
    // What was not done was not tried.
    expect(report.requests['answered']).toBeGreaterThan(100);
    expect(report.rollouts['revisions']).toBeGreaterThan(20);
    expect(report.inForce['compared']).toBeGreaterThan(50);
    // Each kind of thing is broken once before chance alone decides; what breaks it is drawn.
    const faults = Object.keys(report.faults).join('\n');
    for (const kind of kinds) expect(faults).toMatch(kind);
    expect(report.lies?.['states']).toBeGreaterThan(0);
    expect(report.newestAfterSeconds).toBeLessThan(30);
  },
  seconds * 1000 + 400_000,
);
