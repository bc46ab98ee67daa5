import { bad, type Fields, good, manifest, type Row } from './manifests.ts';

const analysis = (fields: Fields) => manifest('AdapterAnalysis', fields);
const metric = (fields: Fields) => analysis({ metrics: [{ name: 'm', ...fields }] });
const atMetric = 'spec.metrics[0]';

export const analysisRows: readonly Row[] = [
  good(
    'every judge on a metric that it is for',
    analysis({
      duration: '10m',
      onInconclusive: 'Continue',
      metrics: [
        {
          name: 'errors',
          source: { builtin: 'ErrorRatio' },
          judge: {
            sequential: { direction: 'Increase', alpha: 0.01, allowedIncrease: 0.005, minSampleSize: 50 },
          },
          class: 'Signal',
          initialDelay: '30s',
          interval: '5s',
          count: 10,
          failureLimit: 1,
          inconclusiveLimit: 2,
          consecutiveErrorLimit: 3,
        },
        {
          name: 'slow',
          source: { builtin: 'Latency' },
          judge: {
            threshold: { quantile: 'P99', of: 'Ratio', failure: { atLeast: 1.5 }, success: { atMost: 1.2 } },
          },
        },
        { name: 'shift', source: { builtin: 'Latency' }, judge: { mannWhitney: { allowedIncrease: 0.1 } } },
        { name: 'goal', source: { builtin: 'Reward' }, judge: { comparison: { allowedDecrease: 0.01 } } },
        { name: 'split', source: { builtin: 'SampleRatio' } },
      ],
    }),
  ),
  bad(
    'a number of one side that is compared with stable',
    metric({ source: { http: { url: 'http://a', jsonPath: '$.a' } } }),
    `${atMetric}: Invalid value: "object": prometheus and http need judge.threshold: their numbers are of one side only`,
  ),
  bad(
    'ranks of errors',
    metric({ source: { builtin: 'ErrorRatio' }, judge: { mannWhitney: {} } }),
    `${atMetric}: Invalid value: "object": mannWhitney is for builtin: Latency`,
  ),
  bad(
    'a comparison of errors',
    metric({ source: { builtin: 'ErrorRatio' }, judge: { comparison: {} } }),
    `${atMetric}: Invalid value: "object": comparison is for builtin: Reward`,
  ),
  bad(
    'a judge for the split',
    metric({ source: { builtin: 'SampleRatio' }, judge: { sequential: {} } }),
    `${atMetric}: Invalid value: "object": SampleRatio has a judge of its own: leave judge out`,
  ),
  bad(
    'a threshold without limits',
    metric({ source: { builtin: 'ErrorRatio' }, judge: { threshold: {} } }),
    `${atMetric}.judge.threshold: Invalid value: "object": needs success, failure or both`,
  ),
  bad(
    'limits of nothing',
    metric({ source: { builtin: 'ErrorRatio' }, judge: { threshold: { success: {} } } }),
    `${atMetric}.judge.threshold.success: Invalid value: "object": needs atMost, atLeast or both`,
  ),
  bad(
    'two metrics of one name',
    analysis({
      metrics: [
        { name: 'm', source: { builtin: 'ErrorRatio' } },
        { name: 'm', source: { builtin: 'Latency' } },
      ],
    }),
    'spec.metrics[1]: Duplicate value',
  ),
  good('an AdapterAnalysis with its defaults', analysis({})),
  bad(
    'a mismatch without a limit',
    metric({ source: { builtin: 'Mismatch' } }),
    `${atMetric}: Invalid value: "object": Mismatch needs judge.threshold without of and quantile: it is a comparison of both sides already`,
  ),
  bad(
    'a mismatch as a ratio to stable',
    metric({
      source: { builtin: 'Mismatch' },
      judge: { threshold: { of: 'Ratio', success: { atMost: 1 } } },
    }),
    `${atMetric}: Invalid value: "object": Mismatch needs judge.threshold without of and quantile: it is a comparison of both sides already`,
  ),
];
