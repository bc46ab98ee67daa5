import type { MetricFamily } from '../../../telemetry/exposition.ts';

export type Metric = { readonly name: string; readonly help: string };
type Labels = Readonly<Record<string, string>>;
type Sample = MetricFamily['samples'][number];

/** Series of one metric; what has no place among them shares one, as OpenTelemetry calls it. */
const maxSeries = 4000;
const overflow: Labels = { otel_metric_overflow: 'true' };

/** One value for each combination of labels. All observations of a metric have the same labels in the same order. */
class SeriesOf<Value> {
  readonly #made: () => Value;
  readonly #all = new Map<string, { readonly labels: Labels; readonly value: Value }>();

  constructor(made: () => Value) {
    this.#made = made;
  }

  of(labels: Labels): Value {
    let key = '';
    for (const name in labels) key += `${labels[name]}\0`;
    const known = this.#all.get(key);
    if (known !== undefined) return known.value;
    if (this.#all.size >= maxSeries - 1 && labels !== overflow) return this.of(overflow);
    const value = this.#made();
    this.#all.set(key, { labels, value });
    return value;
  }

  samples(of: (labels: Labels, value: Value) => readonly Sample[]): readonly Sample[] {
    return [...this.#all.values()].flatMap(({ labels, value }) => of(labels, value));
  }
}

/** A counter. A request counts in several: it costs a look into a map, and no object that stays. */
export class CounterSeries {
  readonly #metric: Metric;
  readonly #series = new SeriesOf(() => ({ sum: 0 }));

  constructor(metric: Metric) {
    this.#metric = metric;
  }

  add(amount: number, labels: Labels): void {
    this.#series.of(labels).sum += amount;
  }

  get family(): MetricFamily {
    const samples = this.#series.samples((labels, { sum }) => [{ labels, value: sum }]);
    return { ...this.#metric, type: 'counter', samples };
  }
}

/** A histogram; `bounds` are upper ones, ascending. */
export class HistogramSeries {
  readonly #metric: Metric;
  readonly #bounds: readonly number[];
  readonly #series: SeriesOf<{ sum: number; readonly counts: number[] }>;

  constructor(metric: Metric, bounds: readonly number[]) {
    this.#metric = metric;
    this.#bounds = bounds;
    this.#series = new SeriesOf(() => ({
      sum: 0,
      counts: Array.from({ length: bounds.length + 1 }, () => 0),
    }));
  }

  record(value: number, labels: Labels): void {
    const series = this.#series.of(labels);
    series.sum += value;
    const at = this.#bounds.findIndex((bound) => value <= bound);
    const bucket = at < 0 ? this.#bounds.length : at;
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1;
  }

  get family(): MetricFamily {
    const samples = this.#series.samples((labels, { sum, counts }) => {
      let count = 0;
      const buckets = counts.map((more, at): Sample => {
        count += more;
        return {
          suffix: '_bucket',
          labels: { ...labels, le: String(this.#bounds[at] ?? '+Inf') },
          value: count,
        };
      });
      return [{ suffix: '_count', labels, value: count }, { suffix: '_sum', labels, value: sum }, ...buckets];
    });
    return { ...this.#metric, type: 'histogram', samples };
  }
}
