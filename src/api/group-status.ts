import { z } from 'zod';
import { maxStatusMessage, time } from './condition.ts';
import { selectorSchema } from './selector.ts';
import { text } from './text.ts';

/** Every runtime of a rollout falls on one of so many points: the first 48 bits of a hash. */
export const groupPoints = 2 ** 48;

const count = (what: string) => z.int().min(0).max(1_000_000).meta({ description: what });
const point = (what: string) => z.int().min(0).max(groupPoints).meta({ description: what });

export const groupRuntimesSchema = z
  .strictObject({
    desired: count('Runtimes that have the canary or should: connected, or gone since the group began.'),
    updated: count('Of these, those that follow the present status.'),
    ready: count('Of these, those where the canary is ready to serve.'),
    failed: count('Of these, failed ones.'),
    offline: count('Runtimes of the group that are not connected.'),
  })
  .meta({ description: 'Number of runtimes in each state, once the group has begun.' });
export type GroupRuntimes = z.infer<typeof groupRuntimesSchema>;

/**
 * A group of runtimes. Who is in it follows from `selector` and `reach` alone, for as long as the canary is bound: plans
 * are compiled from this, never from the spec.
 */
export const groupStatusSchema = z
  .strictObject({
    name: text(63).meta({ description: 'Name of the group.' }),
    phase: z.enum(['Pending', 'Progressing', 'Baking', 'Paused', 'Succeeded', 'Failed', 'RolledBack']).meta({
      description:
        'Pending: has not begun. Progressing: its steps run. Baking: it serves the canary to everybody, for bakeTime. Paused: that went well, and somebody has to promote. Succeeded: it keeps the canary. Failed: too many runtimes failed, it stays as it is. RolledBack: it went back to stable.',
    }),
    hash: text(16).meta({
      description:
        'Hash of what the spec says about who is in the group; another one starts the groups anew.',
    }),
    selector: selectorSchema.optional(),
    reach: point(
      'Runtimes of the selector whose point is below this, and that no earlier group has, are in the group. Fixed when it begins; 0 before that.',
    ),
    open: point('Of these, those below this have the canary. Absent: all of them.').optional(),
    weight: z.int().min(0).max(100).meta({ description: 'Percent allowed for the canary in the group.' }),
    step: z.int().min(0).max(64).meta({ description: 'Index of the step in which the group is, from 0.' }),
    startedAt: time.meta({ description: 'RFC 3339 time when the group began.' }).optional(),
    bakedMs: z.number().min(0).meta({ description: 'Milliseconds of bakeTime, monotonic.' }).optional(),
    accepted: count('Number of failures when somebody promoted the group nevertheless.').optional(),
    runtimes: groupRuntimesSchema.optional(),
    message: text(maxStatusMessage).meta({ description: 'Message about the group, for people.' }),
  })
  .meta({ description: 'Where a group of runtimes stands.' });
export type GroupStatus = z.infer<typeof groupStatusSchema>;
