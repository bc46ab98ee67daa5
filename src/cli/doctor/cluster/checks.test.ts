import { describe, expect, it } from 'vitest';
import { clusterFindings } from '../catalogue.ts';
import { exitCodeOf } from '../report.ts';
import { checkCluster } from './checks.ts';
import * as f from './facts.fixture.ts';
import type { ClusterFacts } from './facts.ts';
import { fleetFaults } from './fleet-faults.fixture.ts';
import { installationFaults } from './installation-faults.fixture.ts';

const system = f.healthy;
const faults = [...installationFaults, ...fleetFaults];

describe('the doctor of a cluster', () => {
  it('finds nothing wrong where nothing is, and has looked at everything', () => {
    const findings = checkCluster(system);
    expect(findings.filter(({ level }) => level !== 'ok')).toEqual([]);
    expect(findings.map(({ id }) => id)).toEqual(Object.keys(clusterFindings));
    expect(exitCodeOf(findings)).toBe(0);
  });

  it.each(faults)('names %s, and what to do', (_, fault, id, level, message) => {
    const findings = checkCluster({ ...system, ...fault });
    const found = findings.filter((finding) => finding.level !== 'ok');
    expect(found.map((finding) => finding.id)).toContain(id);
    const finding = found.find((one) => one.id === id);
    expect(finding).toMatchObject({ level, message: expect.stringMatching(message) });
    expect(finding?.message).not.toContain('\n');
    expect(found.every(({ fix = '' }) => fix !== '')).toBe(true);
    expect(exitCodeOf(findings)).toBe(found.some((one) => one.level === 'problem') ? 1 : 0);
  });

  it('has a fault for every finding', () => {
    // Where the API server does not answer there is nothing else to say; see below.
    expect(new Set(faults.map(([, , id]) => id))).toEqual(new Set(Object.keys(clusterFindings)));
  });

  it('says one thing when the API server does not answer', () => {
    const findings = checkCluster({ ...system, apiServer: f.broken('ECONNREFUSED') });
    expect(findings).toMatchObject([{ id: 'api-server', level: 'problem', message: 'ECONNREFUSED' }]);
  });

  it('says what could not be looked at, and takes it for no problem', () => {
    const unseen: Partial<ClusterFacts> = {
      pods: f.forbidden,
      lease: f.forbidden,
      runtimes: f.forbidden,
      adapters: f.forbidden,
    };
    const findings = checkCluster({ ...system, ...unseen });
    expect(exitCodeOf(findings)).toBe(0);
    for (const id of ['pods', 'operator-leader', 'runtimes-connected', 'adapters', 'deletions'])
      expect(findings.find((one) => one.id === id)).toMatchObject({
        level: 'warning',
        message: expect.stringContaining('could not be looked at'),
      });
  });
});
