import { rendered } from './helm.ts';

export type Alert = {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string };
};
type RuleGroups = { readonly groups: readonly { readonly name: string; readonly rules: readonly Alert[] }[] };

/** The spec of the chart's PrometheusRule, which is what a rule file of Prometheus has. */
export const alertRules = async (...values: readonly string[]): Promise<RuleGroups> => {
  const on = values.flatMap((value) => ['--set', value]);
  const manifests = await rendered('--set', 'metrics.prometheusRule.enabled=true', ...on);
  const rule = manifests.find(({ kind }) => kind === 'PrometheusRule');
  if (rule === undefined) throw new Error('the chart rendered no PrometheusRule');
  return rule.spec as RuleGroups;
};

export const alertsOf = ({ groups }: RuleGroups): Alert[] => groups.flatMap(({ rules }) => rules);

/** Names of the metrics in a query. */
export const metricsOf = (expr: string): string[] => [
  ...new Set(expr.match(/\b(?:adaptlet_[a-z_]+|vllm:[a-z_]+)\b/g) ?? []),
];
