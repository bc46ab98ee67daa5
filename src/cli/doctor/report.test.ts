import { describe, expect, it } from 'vitest';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { named, of, ok, problem, warning } from './finding.ts';
import { exitCodeOf, reportJson, reportText } from './report.ts';

const findings = [
  ok('crds', '4 kinds, of version 0.1.0'),
  warning('versions', 'runtimes of version 0.0.9', 'upgrade them'),
  problem('operator-leader', 'no replica leads', 'kubectl get pods'),
];

describe('the report of the doctor', () => {
  it('has a line for each finding, the fix below it, and the counts at the end', () => {
    expect(reportText(findings)).toMatchInlineSnapshot(`
      "✔ crds: 4 kinds, of version 0.1.0
      ! versions: runtimes of version 0.0.9
          fix: upgrade them
      ✖ operator-leader: no replica leads
          fix: kubectl get pods

      1 problem, 1 warning; docs/how-to/troubleshoot.md has a section for each
      "
    `);
    expect(reportText([ok('crds', 'well')])).toContain('nothing is wrong');
  });

  it('is JSON for programs, with the section that explains each finding', () => {
    const json = JSON.parse(reportJson(findings)) as { findings: unknown[] };
    expect(json).toMatchObject({ problems: 1, warnings: 1 });
    expect(json.findings[2]).toEqual({
      id: 'operator-leader',
      level: 'problem',
      message: 'no replica leads',
      fix: 'kubectl get pods',
      help: 'docs/how-to/troubleshoot.md#operator-leader',
    });
  });

  it('exits with 1 for problems only', () => {
    expect([findings, findings.slice(0, 2), []].map(exitCodeOf)).toEqual([1, 0, 0]);
  });
});

describe('a finding', () => {
  it('says that nobody could look, and who may', () => {
    const denied = { error: new AdaptletError('KUBE_FORBIDDEN', 'may not list pods (403)') };
    expect(of(denied, 'pods', 'the pods', () => [])).toMatchObject([
      {
        level: 'warning',
        message: 'the pods could not be looked at: may not list pods (403)',
        fix: expect.stringContaining('cluster-admin'),
      },
    ]);
  });

  it('names five, and how many more there are', () => {
    expect(named(['a', 'b'])).toBe('a, b');
    expect(named(['a', 'b', 'c', 'd', 'e', 'f', 'g'])).toBe('a, b, c, d, e and 2 more');
  });
});
