import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { TestFleet } from '../../support/fleet.ts';
import { waitFor } from '../../support/wait.ts';
import { debianProgram } from '../../tools/debian.ts';
import { type PrometheusProcess, startPrometheus } from '../measurement/prometheus-process.ts';
import { alertRules, alertsOf, metricsOf } from './alerts.ts';

const program = await debianProgram('prometheus');
const reason =
  program === undefined ? ' (SKIPPED: prometheus is not installed, and apt does not have it)' : '';

type Firing = {
  readonly state: 'pending' | 'firing';
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: { readonly summary: string };
};

describe.skipIf(program === undefined)(`a Prometheus that scrapes an operator and a runtime${reason}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'adaptlet-alerts-live-'));
  let fleet: TestFleet;
  let prometheus: PrometheusProcess;

  /** Alerts that fire now, by name. */
  const firing = async (): Promise<ReadonlyMap<string, Firing>> => {
    const answer = await fetch(`${prometheus.address}/api/v1/alerts`);
    const { data } = (await answer.json()) as { readonly data: { readonly alerts: readonly Firing[] } };
    const active = data.alerts.filter(({ state }) => state === 'firing');
    return new Map(active.map((alert) => [alert.labels['alertname'] ?? '', alert]));
  };

  beforeAll(async () => {
    fleet = await TestFleet.start({ replicas: 1, runtimes: 1 });
    // The rules of the chart, but for how long something must be so. Nothing else is changed.
    const { groups } = await alertRules();
    const hasty = groups.map((group) => ({
      ...group,
      rules: group.rules.map((rule) => ({ ...rule, for: '2s', expr: rule.expr.replace('> 3600', '> 2') })),
    }));
    const file = join(folder, 'rules.yaml');
    writeFileSync(file, stringify({ groups: hasty }));
    const targets = [fleet.operators[0]?.http, fleet.nodes[0]?.http].map((url) => new URL(url ?? '').host);
    prometheus = await startPrometheus(program ?? '', targets, [file]);
  });
  afterAll(async () => {
    await prometheus?.[Symbol.asyncDispose]();
    await fleet?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  it('finds every metric of the alerts', async () => {
    await fleet.leader();
    const pages = await Promise.all(
      [fleet.operators[0]?.http, fleet.nodes[0]?.http].map(async (url) =>
        (await fetch(`${url}/metrics`)).text(),
      ),
    );
    const named = alertsOf(await alertRules()).flatMap(({ expr }) => metricsOf(expr));
    // The counter of transitions comes with the first one.
    const told = named.filter((name) => name !== 'adaptlet_adapter_transitions_total');
    expect(told.filter((name) => !pages.join('\n').includes(`# TYPE ${name} `))).toEqual([]);
  });

  it('has no alert while all is well', async () => {
    await waitFor('Prometheus to have evaluated what it scraped', async () => {
      const query = 'min_over_time(adaptlet_operator_leader[1s]) == 1 and on() adaptlet_ready == 1';
      const answer = await fetch(`${prometheus.address}/api/v1/query?query=${encodeURIComponent(query)}`);
      const { data } = (await answer.json()) as { readonly data: { readonly result: readonly unknown[] } };
      return data.result.length > 0 && (await firing()).size === 0;
    });
  });

  it('has one for a node that is killed, which says which', async () => {
    await fleet.nodes[0]?.end('SIGKILL');
    const alert = await waitFor('the alert', async () => (await firing()).get('AdaptletRuntimeOffline'));
    expect(alert.labels).toMatchObject({ namespace: 'adaptlet-system', name: 'node-0', node: 'node-0' });
    expect(alert.annotations.summary).toMatch(
      /^The runtime adaptlet-system\/node-0 is offline for [\d.]+s\. It serves by the plan of then\.$/,
    );
    expect((await firing()).has('AdaptletOperatorWithoutLeader')).toBe(false);
  });

  it('has one for an operator that is killed', async () => {
    await fleet.operators[0]?.end('SIGKILL');
    await waitFor('the alert', async () => (await firing()).has('AdaptletOperatorWithoutLeader'));
  });
});
