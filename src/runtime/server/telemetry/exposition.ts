/** One gauge as it is now. */
export type Gauge = {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
};

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
const escapeLabel = (text: string): string => escapeHelp(text).replaceAll('"', '\\"');

/**
 * Gauges in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * Written here and not by OpenTelemetry because its exporter renames `vllm:x` to `vllm_x`, and its SDK goes on exporting
 * every label combination that was ever observed: the label combination of yesterday would be served for ever.
 */
export const exposition = (gauges: readonly Gauge[]): string =>
  gauges
    .map(({ name, help, samples }) => {
      const lines = samples.map(({ labels, value }) => {
        const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
        return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`;
      });
      return [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} gauge`, ...lines].join('\n');
    })
    .join('\n')
    .concat('\n');
