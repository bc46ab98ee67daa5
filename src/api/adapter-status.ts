import { z } from 'zod';
import { adapterColumnsSchema } from './columns.ts';
import { conditionsSchema, generation, maxStatusMessage, time } from './condition.ts';
import { digestSchema } from './names.ts';
import { text } from './text.ts';

const count = (what: string) => z.int().min(0).max(1_000_000).meta({ description: what });

export const adapterStatusSchema = z
  .strictObject({
    observedGeneration: generation.meta({ description: 'metadata.generation that this status is about.' }),
    digest: digestSchema
      .meta({
        description:
          'Digest of the OCI manifest that the source was resolved to. Once set it never changes nor goes away.',
      })
      .optional(),
    sizeBytes: z
      .int()
      .min(0)
      .meta({ description: 'Bytes of the artifact on disk, as the runtimes report it.' })
      .optional(),
    rank: count('Largest LoRA rank, as the runtimes report it.').optional(),
    targetModules: z
      .array(text(256))
      .max(64)
      .meta({
        description: 'Modules of the base model that it changes, as the runtimes report it.',
        'x-kubernetes-list-type': 'set',
      })
      .optional(),
    runtimes: z
      .strictObject({
        desired: count('Connected runtimes of the base model that should hold it on disk or in RAM.'),
        stored: count('Runtimes that have it on disk.'),
        resident: count('Runtimes that have it in RAM, validated.'),
        serving: count('Runtimes where a rollout serves it.'),
        failed: count('Runtimes that refused it or could not get it.'),
      })
      .meta({ description: 'Number of connected runtimes in each state.' }),
    columns: adapterColumnsSchema.optional(),
    failures: z
      .array(
        z
          .strictObject({
            runtime: text(253).meta({ description: 'Name of the AdapterRuntime.' }),
            reason: text(128).meta({ description: 'Code of the error catalogue.' }),
            message: text(maxStatusMessage).meta({ description: 'What happened, for people.' }),
            time: time.meta({ description: 'RFC 3339 time when it was first reported.' }),
          })
          .meta({ description: 'One runtime that could not use the adapter.' }),
      )
      .max(10)
      .meta({ description: 'Runtimes that could not use it, newest first, at most 10.' }),
    conditions: conditionsSchema,
  })
  .meta({ description: 'What is known about the adapter. Written by Adaptlet.' });
export type AdapterStatus = z.infer<typeof adapterStatusSchema>;
