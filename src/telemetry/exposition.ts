/** One metric with its samples, as Prometheus calls it. */
export type MetricFamily = {
  readonly name: string;
  readonly help: string;
  /** Default: gauge. */
  readonly type?: 'gauge' | 'counter';
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
};

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
const escapeLabel = (text: string): string => escapeHelp(text).replaceAll('"', '\\"');

/**
 * Metrics in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * Written here and not by OpenTelemetry because its exporter renames `vllm:x` to `vllm_x`, and its SDK goes on exporting
 * every label combination that was ever observed: the label combination of yesterday would be served for ever.
 */
export const exposition = (families: readonly MetricFamily[]): string =>
  families
    .map(({ name, help, type = 'gauge', samples }) => {
      const lines = samples.map(({ labels, value }) => {
        const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
        return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`;
      });
      return [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`, ...lines].join('\n');
    })
    .join('\n')
    .concat('\n');
