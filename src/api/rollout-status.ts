import { z } from 'zod';
import { analysisSpecSchema } from './analysis.ts';
import { maxAnalysisRefs } from './analysis-places.ts';
import { rolloutColumnsSchema } from './columns.ts';
import { conditionsSchema, generation, maxStatusMessage, time } from './condition.ts';
import { groupStatusSchema } from './group-status.ts';
import { loosely } from './loosely.ts';
import { digestSchema } from './names.ts';
import { text } from './text.ts';

/** An Adapter as a rollout bound it: name, object identity and content. */
export const boundAdapterSchema = z
  .strictObject({
    adapter: text(253).meta({ description: 'Name of the Adapter.' }),
    uid: text(128).meta({
      description: 'uid of the Adapter object: one that was deleted and created again is another.',
    }),
    digest: digestSchema.meta({ description: 'What it was resolved to.' }),
  })
  .meta({ description: 'An Adapter as the rollout bound it: name, object identity and content.' });
export type BoundAdapter = z.infer<typeof boundAdapterSchema>;

const attempt = z.int().max(1_000_000);

const runtimes = (what: string) => z.int().min(0).max(1_000_000).meta({ description: what });

export const rolloutRuntimesSchema = z
  .strictObject({
    desired: runtimes(
      'Runtimes that should have the adapter: connected and ready, and the rollout applies to them.',
    ),
    updated: runtimes('Of these, those that follow the present status.'),
    ready: runtimes('Of these, those where the adapter that the rollout asks for is Resident.'),
    failed: runtimes('Of these, those that refused it.'),
    held: runtimes('Of these, those that hold the canary back, or stable.'),
    offline: runtimes('Runtimes that it applies to and that are not connected.'),
    cordoned: runtimes(
      'Connected runtimes that it applies to and does not wait for: they are cordoned or held, and outside of all other numbers. Absent: none.',
    ).optional(),
    setAside: runtimes(
      'Of the desired ones, those that failed and that the rollout goes on without, at most spec.maxFailures. Absent: none.',
    ).optional(),
    notReady: runtimes(
      'Connected runtimes that it applies to and does not wait for: they cannot serve yet, and are outside of all other numbers. Absent: none.',
    ).optional(),
  })
  .meta({ description: 'Number of runtimes in each state. Only in a cluster.' });
export type RolloutRuntimes = z.infer<typeof rolloutRuntimesSchema>;

/** Runtimes that a status names as failed. */
export const maxFailuresNamed = 10;

const failureSchema = z
  .strictObject({
    runtime: text(512).meta({ description: 'namespace/name of the AdapterRuntime.' }),
    reason: z.enum(['Refused', 'GuardTripped', 'CountsDiffer', 'NotReadyInTime', 'StableFails']).meta({
      description:
        'Refused: it refused the adapter. GuardTripped: its guard took the canary out of service. CountsDiffer: its counts contradict those of the others by more than chance explains. NotReadyInTime: it did not have the adapter within progressDeadline. StableFails: its guard took stable out of service.',
    }),
    message: text(maxStatusMessage).meta({ description: 'Why, for people.' }),
  })
  .meta({ description: 'A runtime that failed.' });
export type RolloutFailure = z.infer<typeof failureSchema>;

const count = (what: string) => z.int().min(0).max(1_000_000_000).meta({ description: what });

const variantSchema = z
  .strictObject({
    count: count('How much feedback there was.'),
    mean: z.number().meta({ description: 'Mean reward.' }),
    low: z.number().meta({ description: 'Lower bound of the confidence interval.' }),
    high: z.number().meta({ description: 'Upper bound of the confidence interval.' }),
  })
  .meta({ description: 'What one side earned, with its confidence interval.' });

export const metricStatusSchema = z
  .strictObject({
    name: text(63).meta({ description: 'Name of the metric.' }),
    step: loosely(
      z
        .int()
        .min(0)
        .max(64)
        .meta({ description: 'Index of the analysis step, from 0. Absent: measured beside the steps.' }),
      ['index', 'total'],
    ).optional(),
    phase: z
      .enum(['Running', 'Success', 'Failed', 'Inconclusive', 'Error'])
      .meta({ description: 'What was found. Error: it could not be measured.' }),
    measured: count('Measurements, including those that could not be made.'),
    taken: count('Measurements that could be made.'),
    failed: count('Of these, failed ones.'),
    inconclusive: count('Of these, inconclusive ones.'),
    consecutiveErrors: count('Measurements in a row, up to now, that could not be made.'),
    waitedMs: z.number().min(0).meta({
      description: 'Milliseconds since the last measurement, monotonic.',
    }),
    value: z.number().meta({ description: 'What was measured last.' }).optional(),
    bound: z.number().meta({ description: 'What the value is compared with.' }).optional(),
    message: text(maxStatusMessage).meta({ description: 'What the last measurement says, for people.' }),
    variants: z
      .strictObject({ stable: variantSchema.optional(), canary: variantSchema.optional() })
      .meta({ description: 'What both sides of an A/B test earned.' })
      .optional(),
  })
  .meta({ description: 'What was measured of one metric.' });
export type MetricStatus = z.infer<typeof metricStatusSchema>;

const share = (what: string) => z.number().min(0).max(1).meta({ description: what });

export const mirrorStatusSchema = z
  .strictObject({
    requests: count('Copies that the canary answered or failed to answer.'),
    failed: count('Of these, those that it failed to answer.'),
    dropped: count('Copies that were not answered because requests of clients came first.'),
    compared: count(
      'Pairs of answers that could be compared. Answers that are sampled without a seed say nothing about each other.',
    ),
    equal: share('Of these, the share that was equal.').optional(),
    similarity: share(
      'How similar they were on average, from 0 to 1. Text: 1 - edit distance in tokens / length, of the first 512 tokens; embeddings: cosine; classifications: share of equal labels.',
    ).optional(),
    latencyRatio: z
      .number()
      .min(0)
      .meta({
        description:
          'Time to the first token of the canary as a multiple of that of stable, of the same requests and without waiting.',
      })
      .optional(),
  })
  .meta({
    description:
      'What mirroring found, over all runtimes, since each of them started. Kept until the next canary is bound.',
  });
export type MirrorStatus = z.infer<typeof mirrorStatusSchema>;

const analysisCopySchema = z
  .strictObject({
    name: text(253).meta({ description: 'Name of the AdapterAnalysis.' }),
    uid: text(128).meta({ description: 'uid of the AdapterAnalysis.' }),
    generation: generation.meta({ description: 'metadata.generation that was copied.' }),
    spec: loosely(analysisSpecSchema).meta({ description: 'What is in force of it.' }),
  })
  .meta({ description: 'An AdapterAnalysis as it is in force.' });
export type AnalysisCopy = z.infer<typeof analysisCopySchema>;

export const rolloutStatusSchema = z
  .strictObject({
    observedGeneration: generation.meta({ description: 'metadata.generation that this status is about.' }),
    phase: z
      .enum(['Healthy', 'Progressing', 'Paused', 'Degraded'])
      .meta({ description: 'The state in one word.' }),
    revision: generation.meta({
      description:
        'Grows by one with every decision that changes something. Messages, counts and progress do not change it.',
    }),
    message: text(maxStatusMessage).meta({ description: 'Message, for people.' }),
    stable: boundAdapterSchema.meta({ description: 'The adapter that the rollout serves.' }).optional(),
    /** seed: 16 hexadecimal digits, see rollout/splitter. */
    canary: loosely(
      z
        .strictObject({
          ...boundAdapterSchema.shape,
          seed: text(16).meta({
            description: 'Seed of the split, 16 hexadecimal digits; constant for the life of the canary.',
          }),
          attempt: attempt.min(1).default(1).meta({
            description:
              'Number of this attempt. A hold of an earlier attempt no longer counts. A refused adapter is tried again only after a retry.',
          }),
        })
        .meta({ description: 'The adapter that the rollout is moving to.' }),
      ['adapter', 'digest', 'uid'],
    ).optional(),
    attempts: attempt
      .min(0)
      .meta({
        description:
          'Attempts of the rollout so far; it never decreases. Each canary that is bound and each retry is one. Absent: none.',
      })
      .optional(),
    /** Former stables, newest first, at most revisionHistoryLimit. */
    history: z
      .array(loosely(boundAdapterSchema, ['adapter', 'digest']))
      .max(20)
      .meta({ description: 'Former stable adapters, newest first, at most spec.revisionHistoryLimit.' }),
    /** Percent of requests: what is allowed for the canary and what is left for stable. */
    weights: z
      .strictObject({
        canary: z.int().min(0).max(100).meta({ description: 'Percent allowed for the canary.' }),
        stable: z.int().min(0).max(100).meta({ description: 'Percent left for stable.' }),
        mirror: z
          .int()
          .min(1)
          .max(100)
          .meta({
            description:
              'Percent of the requests that stable answers of which the canary gets a copy. Absent: none.',
          })
          .optional(),
        observedCanary: z
          .int()
          .min(0)
          .max(100)
          .meta({
            description:
              'Percent of requests that the canary answered at the present weight, over all runtimes that report; absent without requests.',
          })
          .optional(),
      })
      .meta({ description: 'Percent of requests for each side.' }),
    /** hash: of the strategy's steps; another hash restarts at step 0. elapsedMs: of the present pause, monotonic. */
    step: z
      .strictObject({
        index: z.int().min(0).meta({ description: 'Index of the present step, from 0.' }),
        total: z.int().min(0).meta({ description: 'Number of steps.' }),
        hash: text(128).meta({ description: 'Hash of the steps; another one restarts at step 0.' }),
        elapsedMs: z.number().min(0).meta({ description: 'Milliseconds spent in the present pause.' }),
        promoted: z.boolean().meta({ description: 'Somebody ended the present pause by hand.' }),
        full: z
          .boolean()
          .meta({ description: 'Somebody promoted the canary past its remaining steps.' })
          .optional(),
      })
      .meta({ description: 'Where in the steps the rollout is.' })
      .optional(),
    progress: loosely(
      z
        .strictObject({
          reason: text(64).meta({ description: 'What it waits for, as the reason of a condition.' }),
          waitedMs: z.number().min(0).meta({
            description:
              'Milliseconds of waiting without progress, monotonic; at most spec.progressDeadline.',
          }),
          ready: runtimes('Runtimes that were ready when it progressed last.'),
        })
        .meta({ description: 'How long it has waited for its adapter; absent while it does not wait.' }),
      ['reason'],
    ).optional(),
    groups: z
      .array(loosely(groupStatusSchema, ['name', 'phase', 'message']))
      .max(17)
      .meta({
        description:
          'Groups of runtimes while a canary is bound, in their order; weights and step are those of the present one. Absent: all runtimes at once.',
        'x-kubernetes-list-type': 'atomic',
      })
      .optional(),
    analysis: z
      .array(loosely(metricStatusSchema, ['name', 'phase', 'message']))
      .max(16)
      .meta({
        description:
          'What was measured: beside the steps, and in the present or last analysis step. Kept until the next canary is bound.',
      })
      .optional(),
    analyses: z
      .array(analysisCopySchema)
      .max(maxAnalysisRefs)
      .meta({
        description:
          'The AdapterAnalyses that the strategy refers to, as they were when the canary was bound or tried again. Kept until the next canary is bound.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      })
      .optional(),
    mirror: loosely(mirrorStatusSchema, ['requests', 'compared']).optional(),
    abort: z
      .strictObject({
        at: time.meta({ description: 'RFC 3339 time of the abort.' }),
        reason: text(maxStatusMessage).meta({ description: 'Why it was aborted.' }),
        uid: text(128).meta({ description: 'uid of the Adapter that was given up.' }),
        digest: text(71).meta({ description: 'Digest of the Adapter that was given up.' }),
      })
      .meta({ description: 'The last canary that was given up.' })
      .optional(),
    startedAt: time
      .meta({ description: 'When the present or last canary was bound, or tried again, RFC 3339.' })
      .optional(),
    finishedAt: time
      .meta({
        description:
          'When it became stable, was given up or was dropped, RFC 3339. Absent while it is under way.',
      })
      .optional(),
    completionStatus: z
      .enum(['Promoted', 'FastPromoted', 'Aborted', 'RolledBack', 'FastRolledBack', 'Superseded'])
      .meta({ description: 'How the last rollout ended.' })
      .optional(),
    runtimes: loosely(rolloutRuntimesSchema, ['desired', 'updated', 'ready', 'setAside']).optional(),
    columns: rolloutColumnsSchema.optional(),
    apart: z
      .array(
        loosely(
          z
            .strictObject({
              runtime: text(512).meta({ description: 'namespace/name of the AdapterRuntime.' }),
              why: z.enum(['Cordoned', 'Held']).meta({ description: 'What keeps new things from it.' }),
              serves: text(253)
                .meta({ description: 'The adapter that is stable there. Absent: none.' })
                .optional(),
            })
            .meta({ description: 'A runtime that the rollout does not wait for.' }),
          ['runtime', 'why'],
        ),
      )
      .max(10)
      .meta({
        description: 'Runtimes that are cordoned or held and that it does not wait for, at most 10.',
        'x-kubernetes-list-type': 'atomic',
      })
      .optional(),
    failures: z
      .array(loosely(failureSchema, ['runtime', 'message']))
      .max(maxFailuresNamed)
      .meta({
        description:
          'Runtimes that failed, at most 10; runtimes.setAside of all that failed are gone on without. Absent: none.',
        'x-kubernetes-list-type': 'atomic',
      })
      .optional(),
    conditions: conditionsSchema,
    leaderEpoch: z
      .int()
      .min(0)
      .meta({ description: 'Term of the leader that wrote this status; it never decreases.' })
      .optional(),
    lastHandledRequest: text(256)
      .meta({ description: 'The annotation adaptlet.io/request that was answered last.' })
      .optional(),
    lastRefusal: text(maxStatusMessage)
      .meta({
        description: 'Why the request that was answered last was refused; absent when it was carried out.',
      })
      .optional(),
  })
  .meta({ description: 'Where the rollout stands. Written by Adaptlet.' });
export type RolloutStatus = z.infer<typeof rolloutStatusSchema>;
