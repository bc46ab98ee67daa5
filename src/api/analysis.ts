import { z } from 'zod';
import { durationBetween, durationSchema } from './duration.ts';
import { exactlyOneOf } from './exactly-one.ts';
import { type HttpSource, httpSchema, type PrometheusSource, prometheusSchema } from './metric-source.ts';
import { labelNameSchema, nameSchema } from './names.ts';
import { cel } from './text.ts';
import { duplicatesOf } from './unique.ts';

const alpha = (fallback: number) =>
  z
    .number()
    .min(0.0001)
    .max(0.2)
    .default(fallback)
    .meta({
      description: `Chance of a false alarm over all looks, 0.0001 to 0.2. Default ${fallback}.`,
    });

const minSampleSize = z.int().min(10).max(1_000_000).default(100).meta({
  description: 'Observations that each side needs before there is a verdict, 10 to 1000000. Default 100.',
});

const allowedIncrease = z.number().min(0).max(100).default(0).meta({
  description:
    'Harm that is allowed. Errors and rewards: in their own unit (0.01 is one percent of requests); latency: as a share (0.1 is 10 % slower). Default 0.',
});

/** The judges of src/rollout/judge, as people write them. */
export const sequentialShape = {
  direction: z
    .enum(['Increase', 'Decrease'])
    .meta({ description: 'Which change counts as harm. Default: Decrease for rewards, else Increase.' })
    .optional(),
  alpha: alpha(0.05),
  allowedIncrease,
  minSampleSize,
};

export const mannWhitneyShape = { alpha: alpha(0.05), allowedIncrease, minSampleSize };

export const sampleRatioShape = { alpha: alpha(0.01), minSampleSize };

export const comparisonShape = {
  alpha: alpha(0.05),
  allowedDecrease: z
    .number()
    .min(0)
    .max(1_000_000)
    .default(0)
    .meta({ description: 'A canary that is worse by no more than this passes. Default 0.' }),
  minSampleSize,
};

const needsLimit = 'needs atMost, atLeast or both';

/** At least one limit; a number on a limit is inside. */
export const rangeSchema = z
  .strictObject({
    atMost: z.number().meta({ description: 'The largest number inside.' }).optional(),
    atLeast: z.number().meta({ description: 'The smallest number inside.' }).optional(),
  })
  .refine((range) => range.atMost !== undefined || range.atLeast !== undefined, { error: needsLimit })
  .meta({
    description: 'Limits of a number. At least one of atMost and atLeast.',
    ...cel({ rule: 'has(self.atMost) || has(self.atLeast)', message: needsLimit }),
  });

export const conditionsShape = {
  success: rangeSchema
    .meta({ description: 'Which values succeed. Without failure, every other value fails.' })
    .optional(),
  failure: rangeSchema
    .meta({
      description:
        'Which values fail; it takes precedence over success. Without success, every other value succeeds.',
    })
    .optional(),
};

const needsCondition = 'needs success, failure or both';

export const thresholdShape = {
  ...conditionsShape,
  of: z.enum(['Canary', 'Difference', 'Ratio']).default('Canary').meta({
    description:
      'What is compared: the number of the canary itself, its difference to stable, or its ratio to stable. Only for numbers that Adaptlet counts. Default Canary.',
  }),
  minSampleSize,
};

const thresholdJudge = z
  .strictObject({
    quantile: z
      .enum(['Mean', 'P50', 'P90', 'P95', 'P99'])
      .default('Mean')
      .meta({ description: 'Which statistic of the latencies, in milliseconds. Default Mean.' }),
    ...thresholdShape,
  })
  .refine((spec) => spec.success !== undefined || spec.failure !== undefined, { error: needsCondition })
  .meta({
    description: 'A number inside fixed limits, at each look. At least one of success and failure.',
    ...cel({ rule: 'has(self.success) || has(self.failure)', message: needsCondition }),
  });

const judgeSchema = exactlyOneOf(
  {
    sequential: z
      .strictObject(sequentialShape)
      .meta({
        description:
          'Is the canary worse than stable? A sequential test: it stays valid however often it looks.',
      })
      .optional(),
    threshold: thresholdJudge.optional(),
    mannWhitney: z
      .strictObject(mannWhitneyShape)
      .meta({ description: 'Is the latency shifted up as a whole? One look at the end. Only for Latency.' })
      .optional(),
    comparison: z
      .strictObject(comparisonShape)
      .meta({ description: 'Which side earns more? Only for Reward; what an A/B test is judged by.' })
      .optional(),
  },
  ['sequential', 'threshold', 'mannWhitney', 'comparison'],
  {
    example: 'sequential: {}',
    description:
      'How the numbers are judged. Exactly one of sequential, threshold, mannWhitney, comparison. Default: sequential.',
  },
);
export type JudgeChoice = z.infer<typeof judgeSchema>;

const builtinSchema = z.enum(['ErrorRatio', 'Latency', 'Reward', 'SampleRatio', 'Mismatch']);
export type BuiltinMetric = z.infer<typeof builtinSchema>;

const sourceSchema = exactlyOneOf(
  {
    builtin: builtinSchema
      .meta({
        description:
          'Counted by the runtimes, for each side. ErrorRatio: share of requests that the adapter failed. Latency: what the engine itself takes up to the first token, or for the whole of an embedding or classification. Reward: what callers send as feedback. SampleRatio: whether the split is what the weights say. Mismatch: share of mirrored requests whose answer by the canary is not that of stable, failures included.',
      })
      .optional(),
    prometheus: prometheusSchema.optional(),
    http: httpSchema.optional(),
  },
  ['builtin', 'prometheus', 'http'],
  {
    example: 'builtin: ErrorRatio',
    description: 'Where the numbers come from. Exactly one of builtin, prometheus, http.',
  },
);
export type MetricSource = z.infer<typeof sourceSchema>;

/** A server that a metric is asked of. */
export type ExternalSource = { readonly prometheus: PrometheusSource } | { readonly http: HttpSource };

const limit = (fallback: number, what: string) =>
  z
    .int()
    .min(0)
    .max(100_000)
    .default(fallback)
    .meta({ description: `${what} Default ${fallback}.` });

/** When a metric is measured and how much it may fail. The names and defaults are those of Argo Rollouts' AnalysisRun. */
export const metricPolicyShape = {
  class: z
    .enum(['Guardrail', 'Signal'])
    .default('Guardrail')
    .meta({ description: 'Guardrail: a failure rolls back. Signal: it pauses. Default Guardrail.' }),
  initialDelay: durationSchema
    .meta({ description: 'Wait before the first measurement. Example: 30s. Default: none.' })
    .optional(),
  interval: durationBetween('1s', '24h')
    .default('10s')
    .meta({ description: 'Time between two measurements, 1s to 24h. Default 10s.' }),
  count: z
    .int()
    .min(1)
    .max(100_000)
    .meta({
      description:
        'Measurements until it has succeeded; the last one judges finally. Default: measured for as long as the step or the canary lasts.',
    })
    .optional(),
  failureLimit: limit(0, 'Failed measurements that are allowed.'),
  inconclusiveLimit: limit(0, 'Inconclusive measurements that are allowed.'),
  consecutiveErrorLimit: limit(4, 'Errors in a row that are allowed: measurements that could not be made.'),
};

const ownNumbers = 'prometheus and http need judge.threshold: their numbers are of one side only';
const canOwnNumbers =
  'has(self.source.builtin) || (has(self.judge) && has(self.judge.threshold) && self.judge.threshold.of == "Canary")';
const onlyLatency = 'mannWhitney is for builtin: Latency';
const onlyReward = 'comparison is for builtin: Reward';
const ownComparison =
  'Mismatch needs judge.threshold without of and quantile: it is a comparison of both sides already';
const noJudge = 'SampleRatio has a judge of its own: leave judge out';

export const metricSchema = z
  .strictObject({
    name: labelNameSchema.meta({
      description: 'Name of the metric in status and messages. Example: quality',
    }),
    source: sourceSchema,
    judge: judgeSchema.optional(),
    ...metricPolicyShape,
  })
  .superRefine(({ source, judge }, ctx) => {
    const wrong = (message: string): void => ctx.addIssue({ code: 'custom', message });
    const isOwn = judge?.threshold !== undefined && judge.threshold.of === 'Canary';
    if (source.builtin === undefined && !isOwn) wrong(ownNumbers);
    if (judge?.mannWhitney !== undefined && source.builtin !== 'Latency') wrong(onlyLatency);
    if (judge?.comparison !== undefined && source.builtin !== 'Reward') wrong(onlyReward);
    if (judge !== undefined && source.builtin === 'SampleRatio') wrong(noJudge);
    const isPlain = isOwn && judge.threshold?.quantile === 'Mean';
    if (source.builtin === 'Mismatch' && !isPlain) wrong(ownComparison);
  })
  .meta({
    description: 'One number, where it comes from and how it is judged.',
    ...cel(
      { rule: canOwnNumbers, message: ownNumbers },
      {
        rule: '!has(self.judge) || !has(self.judge.mannWhitney) || (has(self.source.builtin) && self.source.builtin == "Latency")',
        message: onlyLatency,
      },
      {
        rule: '!has(self.judge) || !has(self.judge.comparison) || (has(self.source.builtin) && self.source.builtin == "Reward")',
        message: onlyReward,
      },
      {
        rule: '!has(self.judge) || !has(self.source.builtin) || self.source.builtin != "SampleRatio"',
        message: noJudge,
      },
      {
        rule: '!has(self.source.builtin) || self.source.builtin != "Mismatch" || (has(self.judge) && has(self.judge.threshold) && self.judge.threshold.of == "Canary" && self.judge.threshold.quantile == "Mean")',
        message: ownComparison,
      },
    ),
  });
export type Metric = z.infer<typeof metricSchema>;

const metrics = z
  .array(metricSchema)
  .min(1)
  .max(8)
  .superRefine(duplicatesOf('name'))
  .meta({
    description:
      'What is measured, 1 to 8 metrics. Default: ErrorRatio and Latency as guardrails with alpha 0.025 each (latency may grow by 10 %), SampleRatio as a signal.',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
  });

const onInconclusive = z.enum(['Pause', 'Continue']);
const whatFollows = 'What follows an inconclusive metric: the rollout pauses for a person, or continues.';

const ref = nameSchema.meta({
  description:
    'Name of an AdapterAnalysis in the same namespace, in place of metrics. It is copied when the canary is bound or tried again: edits of it count from the next canary on. Example: checkout',
});

const duration = durationSchema.meta({
  description: 'How long is measured. Example: 10m. Default: until each metric has its count.',
});

type Measured = { readonly metrics?: readonly Metric[] | undefined };

/** True when each metric has its count: then what is measured comes to an end by itself. */
export const hasEnd = ({ metrics: list }: Measured): boolean =>
  list?.every(({ count }) => count !== undefined) === true;

/** Of an AdapterAnalysis: an analysis that rollouts refer to. */
export const analysisSpecSchema = z
  .strictObject({
    duration: duration
      .meta({
        description:
          'How long is measured as a step; of no meaning beside the steps. A step that refers to it may have another one. Example: 10m. Default: until each metric has its count.',
      })
      .optional(),
    metrics: metrics.optional(),
    onInconclusive: onInconclusive.default('Pause').meta({
      description: `${whatFollows} A rollout that refers to it may say otherwise. Default Pause.`,
    }),
  })
  .meta({ description: 'What is measured of a canary, for any number of rollouts of the namespace.' });
export type AnalysisSpec = z.infer<typeof analysisSpecSchema>;

/** What an analysis is, wherever a rollout has one: its own metrics, or a name. */
const analysisShape = {
  ref: ref.optional(),
  metrics: metrics.optional(),
  onInconclusive: onInconclusive
    .meta({ description: `${whatFollows} Default: that of the AdapterAnalysis, else Pause.` })
    .optional(),
};

/** Its schema would stand in the CRD of rollouts four times. */
const unseen =
  'Either ref, or metrics as in the spec of an AdapterAnalysis; and duration, onInconclusive. The API server does not look into it: the operator does, and adaptlet lint.';

const twice = 'must not have both ref and metrics: the metrics are those of the AdapterAnalysis';
const needsEnd = 'needs a duration, or metrics that all have a count: it would never end';

export const analysisStepSchema = z
  .strictObject({ duration: duration.optional(), ...analysisShape })
  .refine((step) => step.ref === undefined || step.metrics === undefined, { error: twice })
  .refine((step) => step.ref !== undefined || step.duration !== undefined || hasEnd(step), {
    error: needsEnd,
  })
  .meta({ description: `Measures, and then continues, pauses or rolls back. ${unseen}` });
export type AnalysisStep = z.infer<typeof analysisStepSchema>;

export const backgroundAnalysisSchema = z
  .strictObject({
    startingStep: z.int().min(0).max(64).default(0).meta({
      description:
        'Index of the step from which on it measures, from 0. It never measures at weight 0. Default 0.',
    }),
    ...analysisShape,
  })
  .refine((analysis) => analysis.ref === undefined || analysis.metrics === undefined, { error: twice })
  .meta({
    description: `Measures in the background, beside the steps, for as long as the canary has requests, from startingStep on (index of a step, default 0). ${unseen}`,
  });
export type BackgroundAnalysis = z.infer<typeof backgroundAnalysisSchema>;
