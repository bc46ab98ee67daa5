import { z } from 'zod';
import { selectorSchema } from './adapter.ts';
import { digestSchema, nameSchema } from './names.ts';

/** Exactly one member is present. */
export const stepSchema = z
  .strictObject({
    setWeight: z.int().min(0).max(100).optional(),
    pause: z.strictObject({ duration: z.string().optional() }).optional(),
  })
  .refine((s) => Object.values(s).filter((v) => v !== undefined).length === 1, {
    error: 'must have exactly one of setWeight, pause',
  });
export type Step = z.infer<typeof stepSchema>;

/** What makes a request sticky: the first of User, Session that the request carries, or the value of a header, or nothing. */
export const hashOnSchema = z.enum(['User', 'Session', 'Request']);
export type HashOn = z.infer<typeof hashOnSchema>;

export const guardSchema = z.strictObject({ maxConsecutiveErrors: z.int().min(1).max(1000).default(5) });
export type GuardSpec = z.infer<typeof guardSchema>;

export const rolloutSpecSchema = z.strictObject({
  adapter: nameSchema,
  runtimeSelector: selectorSchema.optional(),
  revisionHistoryLimit: z.int().min(2).max(20).default(3),
  rollbackWindow: z.strictObject({ revisions: z.int().min(0).max(20).default(1) }).default({ revisions: 1 }),
  paused: z.boolean().default(false),
  strategy: z
    .strictObject({
      canary: z.strictObject({ steps: z.array(stepSchema), hashOn: hashOnSchema.default('User') }),
    })
    .default({
      canary: {
        steps: [5, 25, 50].flatMap((setWeight) => [{ setWeight }, { pause: { duration: '1m' } }]),
        hashOn: 'User',
      },
    }),
  guard: guardSchema.default({ maxConsecutiveErrors: 5 }),
});
export type RolloutSpec = z.infer<typeof rolloutSpecSchema>;

/** An Adapter as a rollout bound it: name, object identity and content. */
export const boundAdapterSchema = z.strictObject({
  adapter: z.string(),
  uid: z.string(),
  digest: digestSchema,
});
export type BoundAdapter = z.infer<typeof boundAdapterSchema>;

export const conditionSchema = z.strictObject({
  type: z.string(),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string(),
  message: z.string(),
  lastTransitionTime: z.string(),
});
export type Condition = z.infer<typeof conditionSchema>;

export const rolloutStatusSchema = z.strictObject({
  observedGeneration: z.int(),
  phase: z.enum(['Healthy', 'Progressing', 'Paused', 'Degraded']),
  /** Grows by one with every decision that changes something. */
  revision: z.int(),
  message: z.string(),
  stable: boundAdapterSchema.optional(),
  /** seed: 16 hexadecimal digits, see rollout/splitter. */
  canary: boundAdapterSchema.extend({ seed: z.string() }).optional(),
  /** Former stables, newest first, at most revisionHistoryLimit. */
  history: z.array(boundAdapterSchema),
  /** Percent of requests: what is allowed for the canary and what is left for stable. */
  weights: z.strictObject({ canary: z.int(), stable: z.int() }),
  /** hash: of the strategy's steps; another hash restarts at step 0. elapsedMs: of the present pause, monotonic. */
  step: z
    .strictObject({
      index: z.int(),
      total: z.int(),
      hash: z.string(),
      elapsedMs: z.number(),
      promoted: z.boolean(),
    })
    .optional(),
  abort: z
    .strictObject({ at: z.string(), reason: z.string(), uid: z.string(), digest: z.string() })
    .optional(),
  completionStatus: z
    .enum(['Promoted', 'FastPromoted', 'Aborted', 'RolledBack', 'FastRolledBack', 'Superseded'])
    .optional(),
  conditions: z.array(conditionSchema),
  lastHandledRequest: z.string().optional(),
});
export type RolloutStatus = z.infer<typeof rolloutStatusSchema>;
