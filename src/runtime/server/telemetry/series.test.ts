import { expect, it } from 'vitest';
import { exposition } from '../../../telemetry/exposition.ts';
import { CounterSeries, HistogramSeries } from './series.ts';

it('a counter has a sum for each combination of labels', () => {
  const counter = new CounterSeries({ name: 'asked_total', help: 'Requests.' });
  counter.add(1, { arm: 'stable', code: 'OK' });
  counter.add(2, { arm: 'stable', code: 'OK' });
  counter.add(1, { arm: 'stab', code: 'leOK' });
  expect(exposition([counter.family])).toBe(
    `# HELP asked_total Requests.
# TYPE asked_total counter
asked_total{arm="stable",code="OK"} 3
asked_total{arm="stab",code="leOK"} 1
`,
  );
});

it('a histogram counts up to each bound, the bound itself included', () => {
  const histogram = new HistogramSeries({ name: 'took_seconds', help: 'Time.' }, [0.1, 1]);
  for (const value of [0.0625, 0.1, 0.5, 4]) histogram.record(value, { arm: 'a"b' });
  expect(exposition([histogram.family])).toBe(
    String.raw`# HELP took_seconds Time.
# TYPE took_seconds histogram
took_seconds_count{arm="a\"b"} 4
took_seconds_sum{arm="a\"b"} 4.6625
took_seconds_bucket{arm="a\"b",le="0.1"} 2
took_seconds_bucket{arm="a\"b",le="1"} 3
took_seconds_bucket{arm="a\"b",le="+Inf"} 4
`,
  );
});

it('a metric has 4,000 series at most: later ones share one, and nothing is lost', () => {
  const counter = new CounterSeries({ name: 'asked_total', help: 'Requests.' });
  for (let n = 0; n < 5000; n += 1) counter.add(1, { adapter: `a${n}` });
  counter.add(1, { adapter: 'a0' });
  const { samples } = counter.family;
  expect(samples).toHaveLength(4000);
  expect(samples[0]).toEqual({ labels: { adapter: 'a0' }, value: 2 });
  expect(samples.at(-1)).toEqual({ labels: { otel_metric_overflow: 'true' }, value: 1001 });
});
