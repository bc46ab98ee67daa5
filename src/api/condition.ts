import { z } from 'zod';
import { text } from './text.ts';

/** Longest message of a status or a condition, in characters. Writers cut theirs to it. */
export const maxStatusMessage = 4096;

export const time = text(40).meta({ description: 'RFC 3339 time.' });
export const generation = z.int().min(0);

const conditionSchema = z
  .strictObject({
    type: text(316).min(1).meta({ description: 'What the condition is about, in CamelCase.' }),
    status: z.enum(['True', 'False', 'Unknown']).meta({ description: 'Whether it holds.' }),
    reason: text(1024).meta({ description: 'Why, as one CamelCase word for programs.' }),
    message: text(maxStatusMessage).meta({ description: 'Why, for people.' }),
    lastTransitionTime: time.meta({ description: 'RFC 3339 time of the last change of status.' }),
  })
  .meta({ description: 'One observation about the object.' });
export type Condition = z.infer<typeof conditionSchema>;

/** Conditions as Kubernetes has them: a map by type. */
export const conditionsSchema = z
  .array(conditionSchema)
  .max(16)
  .meta({
    description: 'Observations about the object, one of each type.',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['type'],
  });
