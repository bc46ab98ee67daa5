import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { operatorMetrics } from '../../../src/operator/metrics.ts';
import { objectMetrics } from '../../../src/operator/object-gauges.ts';
import { rolloutMetrics } from '../../../src/rollout/gauges.ts';
import { metrics } from '../../../src/runtime/server/telemetry/names.ts';
import { runProgram } from '../../support/program.ts';
import { debianProgram } from '../../tools/debian.ts';
import { alertCases, type Series } from './alert-cases.ts';
import { type Alert, alertRules, alertsOf, metricsOf } from './alerts.ts';

const promtool = await debianProgram('promtool', 'prometheus');
const reason =
  promtool === undefined ? ' (SKIPPED: promtool is not installed, and apt does not have it)' : '';

const folder = mkdtempSync(join(tmpdir(), 'adaptlet-alerts-'));
const rulesFile = join(folder, 'rules.yaml');
/** Without summaries, which promtool would compare word by word. */
const bareFile = join(folder, 'bare.yaml');
let alerts: Alert[];

beforeAll(async () => {
  const rules = await alertRules();
  alerts = alertsOf(rules);
  writeFileSync(rulesFile, stringify(rules));
  const bare = alerts.map((alert) => ({ ...alert, annotations: {} }));
  writeFileSync(bareFile, stringify({ groups: [{ name: 'bare', rules: bare }] }));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Whether promtool finds the alert with these labels in the series; without labels: no alert. */
const expectAlert = async (
  name: string,
  series: Series,
  at: string,
  labels: Readonly<Record<string, string>> | undefined,
): Promise<void> => {
  const input = Object.entries(series).map(([selector, values]) => ({ series: selector, values }));
  const severity = alerts.find(({ alert }) => alert === name)?.labels.severity;
  const expected = labels === undefined ? [] : [{ exp_labels: { severity, ...labels } }];
  const test = {
    rule_files: [bareFile],
    evaluation_interval: '1m',
    tests: [
      {
        interval: '1m',
        input_series: input,
        alert_rule_test: [{ eval_time: at, alertname: name, exp_alerts: expected }],
      },
    ],
  };
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, stringify(test));
  const { code, stdout, stderr } = await runProgram(promtool ?? '', ['test', 'rules', file]);
  expect(code, stdout + stderr).toBe(0);
};

describe('the alerts of the chart', () => {
  it('have a case each', () => {
    expect(Object.keys(alertCases).toSorted()).toEqual(alerts.map(({ alert }) => alert).toSorted());
  });

  it('are about metrics that the code has', () => {
    const known = Object.values({ ...metrics, ...operatorMetrics, ...rolloutMetrics, ...objectMetrics }).map(
      ({ name }) => name as string,
    );
    const named = alerts.map(({ expr }) => metricsOf(expr));
    expect(named.filter((names) => names.length === 0)).toEqual([]);
    expect(named.flat().filter((name) => !known.includes(name))).toEqual([]);
  });

  it('are those of what the release brings', async () => {
    const runtimeOnly = alertsOf(await alertRules('operator.enabled=false', 'crds.install=false'));
    const operatorOnly = alertsOf(await alertRules('runtime.enabled=false'));
    expect([...operatorOnly, ...runtimeOnly]).toEqual(alerts);
    expect(runtimeOnly.map(({ alert }) => alert)).toContain('AdaptletNoRuntimeReady');
  });
});

describe.skipIf(promtool === undefined)(`an alert in a real Prometheus${reason}`, () => {
  it('is in rules that promtool accepts', async () => {
    const { code, stdout, stderr } = await runProgram(promtool ?? '', ['check', 'rules', rulesFile]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`SUCCESS: ${alerts.length} rules found`);
  });

  it.for(Object.entries(alertCases))(
    '%s fires, and not where it is only nearly as bad',
    async ([name, one]) => {
      await expectAlert(name, one.fires, one.at, one.labels ?? {});
      await expectAlert(name, one.silent, one.at, undefined);
    },
  );
});
