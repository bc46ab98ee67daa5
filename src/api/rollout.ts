import { z } from 'zod';
import { durationSchema } from './duration.ts';
import { exactlyOneOf } from './exactly-one.ts';
import { nameSchema } from './names.ts';
import { selectorSchema } from './selector.ts';

/** Exactly one member is present. */
export const stepSchema = exactlyOneOf(
  {
    setWeight: z
      .int()
      .min(0)
      .max(100)
      .meta({ description: 'Percent of requests for the canary, 0 to 100. Example: 20' })
      .optional(),
    pause: z
      .strictObject({
        duration: durationSchema
          .meta({ description: 'How long to wait. Example: 10m. Default: until somebody promotes.' })
          .optional(),
      })
      .meta({ description: 'Waits before the next step. `pause: {}` waits until somebody promotes.' })
      .optional(),
  },
  ['setWeight', 'pause'],
  { example: 'setWeight: 20', description: 'One step. Exactly one of setWeight, pause.' },
);
export type Step = z.infer<typeof stepSchema>;

/** What makes a request sticky. */
export const hashOnSchema = z.enum(['User', 'Session', 'Request']).meta({
  description:
    'What keeps a caller on one side. User: the user id, else the session, else each request by itself. Session: the session, else each request. Request: each request by itself. Default User.',
});
export type HashOn = z.infer<typeof hashOnSchema>;

export const guardSchema = z
  .strictObject({
    maxConsecutiveErrors: z.int().min(1).max(1000).default(5).meta({
      description:
        'Errors of the canary in a row after which the node goes back to stable, 1 to 1000. Default 5.',
    }),
  })
  .meta({ description: 'Rollback on the node itself, without an operator, at the next request.' });
export type GuardSpec = z.infer<typeof guardSchema>;

export const rolloutSpecSchema = z
  .strictObject({
    adapter: nameSchema.meta({
      description:
        'Name of the Adapter that should serve, in the same namespace. A change of it starts a rollout. Example: sql-v2',
    }),
    runtimeSelector: selectorSchema
      .meta({
        description: 'Runtimes that the rollout applies to. Default: every runtime of the base model.',
      })
      .optional(),
    revisionHistoryLimit: z.int().min(2).max(20).default(3).meta({
      description:
        'Former stable adapters that nodes keep on disk, so that a rollback never downloads; 2 to 20. Default 3.',
    }),
    rollbackWindow: z
      .strictObject({
        revisions: z.int().min(0).max(20).default(1).meta({
          description: 'How many former stable adapters count as recent, 0 to 20. Default 1.',
        }),
      })
      .default({ revisions: 1 })
      .meta({ description: 'Going back to a recent stable adapter skips the steps.' }),
    paused: z.boolean().default(false).meta({ description: 'Holds the rollout where it is. Default false.' }),
    strategy: z
      .strictObject({
        canary: z
          .strictObject({
            steps: z.array(stepSchema).max(64).meta({
              description:
                'Steps in their order, at most 64; after the last one the canary is stable. An empty list switches at once, when the canary is ready.',
            }),
            hashOn: hashOnSchema.default('User'),
          })
          .meta({ description: 'Raises the share of the new adapter step by step.' }),
      })
      .default({
        canary: {
          steps: [5, 25, 50].flatMap((setWeight) => [{ setWeight }, { pause: { duration: '1m' } }]),
          hashOn: 'User',
        },
      })
      .meta({
        description:
          'How traffic moves to the new adapter. Default: 5, 25 and 50 percent with a minute at each.',
      }),
    guard: guardSchema.default({ maxConsecutiveErrors: 5 }),
  })
  .meta({ description: 'The stable name that clients call, and which Adapter should serve it.' });
export type RolloutSpec = z.infer<typeof rolloutSpecSchema>;
