import { z } from 'zod';
import { durationSchema } from './duration.ts';
import { exactlyOneOf } from './exactly-one.ts';
import { percentOf, percentSchema } from './percent.ts';
import { selectorSchema } from './selector.ts';
import { cel, formed, matching, notMatching } from './text.ts';
import { duplicatesOf } from './unique.ts';

/** Name of the last group, which holds whatever no other group does. */
export const restName = 'rest';

const groupName = formed(
  63,
  matching(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
    'must be lower-case letters, digits or "-" and start and end with a letter or digit',
  ),
  notMatching(
    /^rest$/,
    'must not be rest: that is the group of the runtimes that are in no other; leave it out, it is always there',
  ),
);

/** Schema of an {@link Amount}. */
export const amount = (of: string, min: 0 | 1) =>
  exactlyOneOf(
    {
      count: z
        .int()
        .min(min)
        .max(1_000_000)
        .meta({ description: `Number of runtimes, ${min} to 1000000. Example: 2` })
        .optional(),
      percentage: percentSchema.meta({ description: `Share of ${of}. Example: 20%` }).optional(),
    },
    ['count', 'percentage'],
    { example: 'count: 2', description: 'A number of runtimes. Exactly one of count, percentage.' },
  );
/** A number of runtimes, or a share of those in question; {@link amountOf} reads it. */
export type Amount = z.infer<ReturnType<typeof amount>>;

/** So many of `all` runtimes; a share is rounded down. */
export const amountOf = ({ count, percentage }: Amount, all: number): number =>
  count ?? Math.floor((all * percentOf(percentage ?? '100%')) / 100);

export const groupSchema = z
  .strictObject({
    name: groupName.meta({ description: 'Name of the group, unique in the list. Example: pilot' }),
    selector: selectorSchema
      .meta({
        description: 'Runtimes that may be in the group. Default: every one that is in no earlier group.',
      })
      .optional(),
    limit: amount('the runtimes that the selector matches, whether or not an earlier group has them', 1)
      .meta({
        description:
          'Upper limit of the runtimes in the group when it begins; at least one is in it. Offline runtimes count, but the group does not wait for them. Exactly one of count, percentage. Default: all that the selector matches and no earlier group has.',
      })
      .optional(),
    maxConcurrency: amount('the runtimes of the group', 1)
      .meta({
        description:
          'How many runtimes of the group load the canary at a time, at least one. Exactly one of count, percentage. Default: all of them.',
      })
      .optional(),
    maxUnavailable: amount('the runtimes of the group', 0)
      .meta({
        description:
          'While more runtimes of the group than these went offline or are not ready to serve, the rollout is paused. Exactly one of count, percentage. Default: no limit.',
      })
      .optional(),
    successThreshold: percentSchema.default('100%').meta({
      description:
        'Share of the runtimes of the group that must serve the canary for the group to go on. Example: 95%. Default 100%.',
    }),
    maxFailures: amount('the runtimes of the group', 0).default({ count: 0 }).meta({
      description:
        'More failed runtimes than this cause errorAction. A runtime has failed when it refused the canary, when its guard tripped, or when it went offline for longer than progressDeadline while the group lost a larger share of its runtimes than the others did. Exactly one of count, percentage. Default {count: 0}.',
    }),
    bakeTime: durationSchema
      .meta({
        description:
          'How long the group serves the canary to everybody before it has succeeded. Example: 10m. Default: not at all.',
      })
      .optional(),
    progressDeadline: durationSchema
      .meta({
        description:
          "The group's own spec.progressDeadline; a runtime that went offline is given up after the same time. Example: 1h. Default: spec.progressDeadline.",
      })
      .optional(),
    successAction: z.enum(['Next', 'Pause']).default('Next').meta({
      description:
        'What follows when the group has succeeded. Next: the next group begins. Pause: waits until somebody promotes. Default Next.',
    }),
    errorAction: z.enum(['Pause', 'RollbackGroup', 'RollbackAll']).default('RollbackAll').meta({
      description:
        'What follows on too many failures. Pause: everything stays as it is until somebody promotes, retries or aborts. RollbackGroup: the group goes back to stable, earlier ones stay, until somebody retries or aborts. RollbackAll: the canary is given up everywhere. Default RollbackAll.',
    }),
  })
  .meta({ description: 'A group of runtimes. All steps run in it before the next group begins.' });
export type Group = z.infer<typeof groupSchema>;

export const groupsSchema = z
  .array(groupSchema)
  .min(1)
  .max(16)
  .superRefine(duplicatesOf('name'))
  .meta({
    description:
      'Groups of runtimes, in the order in which they get the canary, 1 to 16. The steps run in each of them; one that has succeeded keeps the canary. A last group called rest holds the runtimes that are in no other. Only in a cluster: a runtime without one takes the steps once. Default: all runtimes at once.',
    'x-kubernetes-list-type': 'atomic',
    ...cel({
      rule: 'self.all(group, self.exists_one(other, other.name == group.name))',
      message: 'names of groups must be unique in the list',
    }),
  });
