import { z } from 'zod';
import { digestSchema } from './names.ts';
import { text } from './text.ts';

/** Longest message of a status or a condition, in characters. Writers cut theirs to it. */
export const maxStatusMessage = 4096;

const time = text(40).meta({ description: 'RFC 3339 time.' });
const generation = z.int().min(0);

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

export const conditionSchema = z
  .strictObject({
    type: text(316).min(1).meta({ description: 'What the condition is about, in CamelCase.' }),
    status: z.enum(['True', 'False', 'Unknown']).meta({ description: 'Whether it holds.' }),
    reason: text(1024).meta({ description: 'Why, as one CamelCase word for programs.' }),
    message: text(maxStatusMessage).meta({ description: 'Why, for people.' }),
    lastTransitionTime: time.meta({ description: 'RFC 3339 time of the last change of status.' }),
  })
  .meta({ description: 'One observation about the object.' });
export type Condition = z.infer<typeof conditionSchema>;

export const rolloutStatusSchema = z
  .strictObject({
    observedGeneration: generation.meta({ description: 'metadata.generation that this status is about.' }),
    phase: z
      .enum(['Healthy', 'Progressing', 'Paused', 'Degraded'])
      .meta({ description: 'The state in one word.' }),
    /** Grows by one with every decision that changes something. */
    revision: generation.meta({ description: 'Grows by one with every decision that changes something.' }),
    message: text(maxStatusMessage).meta({ description: 'What is going on, for people.' }),
    stable: boundAdapterSchema.meta({ description: 'The adapter that the rollout serves.' }).optional(),
    /** seed: 16 hexadecimal digits, see rollout/splitter. */
    canary: z
      .strictObject({
        ...boundAdapterSchema.shape,
        seed: text(16).meta({
          description: 'Seed of the split, 16 hexadecimal digits; constant for the life of the canary.',
        }),
      })
      .meta({ description: 'The adapter that the rollout is moving to.' })
      .optional(),
    /** Former stables, newest first, at most revisionHistoryLimit. */
    history: z
      .array(boundAdapterSchema)
      .max(20)
      .meta({ description: 'Former stable adapters, newest first, at most spec.revisionHistoryLimit.' }),
    /** Percent of requests: what is allowed for the canary and what is left for stable. */
    weights: z
      .strictObject({
        canary: z.int().min(0).max(100).meta({ description: 'Percent allowed for the canary.' }),
        stable: z.int().min(0).max(100).meta({ description: 'Percent left for stable.' }),
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
      })
      .meta({ description: 'Where in the steps the rollout is.' })
      .optional(),
    abort: z
      .strictObject({
        at: time.meta({ description: 'RFC 3339 time of the abort.' }),
        reason: text(maxStatusMessage).meta({ description: 'Why it was aborted.' }),
        uid: text(128).meta({ description: 'uid of the Adapter that was given up.' }),
        digest: text(71).meta({ description: 'Digest of the Adapter that was given up.' }),
      })
      .meta({ description: 'The last canary that was given up.' })
      .optional(),
    completionStatus: z
      .enum(['Promoted', 'FastPromoted', 'Aborted', 'RolledBack', 'FastRolledBack', 'Superseded'])
      .meta({ description: 'How the last rollout ended.' })
      .optional(),
    conditions: z
      .array(conditionSchema)
      .max(16)
      .meta({
        description: 'Observations about the rollout.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['type'],
      }),
    lastHandledRequest: text(256)
      .meta({ description: 'The annotation adaptlet.io/request that was answered last.' })
      .optional(),
  })
  .meta({ description: 'Where the rollout stands. Written by Adaptlet.' });
export type RolloutStatus = z.infer<typeof rolloutStatusSchema>;
