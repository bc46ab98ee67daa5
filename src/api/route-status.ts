import { z } from 'zod';
import { routeColumnsSchema } from './columns.ts';
import { conditionsSchema, generation } from './condition.ts';
import { text } from './text.ts';

const count = (what: string) => z.int().min(0).max(1_000_000).meta({ description: what });

export const routeStatusSchema = z
  .strictObject({
    observedGeneration: generation.meta({ description: 'metadata.generation that this status is about.' }),
    runtimes: z
      .strictObject({
        desired: count('Connected runtimes.'),
        programmed: count('Of these, those that route by this generation.'),
      })
      .meta({ description: 'Number of runtimes in each state.' }),
    columns: routeColumnsSchema.optional(),
    unresolved: z.array(text(512)).max(16).meta({
      description: 'What its rules name and what does not exist, at most 16.',
      'x-kubernetes-list-type': 'atomic',
    }),
    conditions: conditionsSchema,
  })
  .meta({ description: 'Whether the route is in force. Written by Adaptlet.' });
export type RouteStatus = z.infer<typeof routeStatusSchema>;
