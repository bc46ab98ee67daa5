import { z } from 'zod';
import { digestSchema } from './names.ts';

export const sourceSchema = z
  .strictObject({
    oci: z.strictObject({ image: z.string() }).optional(),
    path: z.strictObject({ path: z.string() }).optional(),
  })
  .refine((s) => Object.values(s).filter((v) => v !== undefined).length === 1, {
    error: 'must have exactly one of oci, path',
  });

/** Where the files of an adapter come from; exactly one member is present. */
export type Source = z.infer<typeof sourceSchema>;

export const smokeTestSchema = z.strictObject({
  name: z.string(),
  prompt: z.string(),
  maxTokens: z.int().default(32),
  expect: z.strictObject({
    contains: z.string().optional(),
    equals: z.string().optional(),
    regex: z.string().optional(),
  }),
});
export type SmokeTest = z.infer<typeof smokeTestSchema>;

export const validationSchema = z.strictObject({
  smokeTests: z.array(smokeTestSchema).default([]),
  maxLatency: z.string().optional(),
  allowNoEffect: z.boolean().default(false),
});
export type Validation = z.infer<typeof validationSchema>;

export const selectorSchema = z.strictObject({ matchLabels: z.record(z.string(), z.string()).default({}) });
export type Selector = z.infer<typeof selectorSchema>;

export const adapterSpecSchema = z.strictObject({
  baseModel: z.string(),
  baseModelDigests: z.array(digestSchema).optional(),
  source: sourceSchema,
  digest: digestSchema.optional(),
  priority: z.int().min(-1000).max(1000).default(0),
  pinned: z.boolean().default(false),
  preload: z
    .strictObject({
      tier: z.enum(['None', 'Disk', 'Memory']).default('None'),
      runtimeSelector: selectorSchema.optional(),
    })
    .default({ tier: 'None' }),
  validation: validationSchema.default({ smokeTests: [], allowNoEffect: false }),
});
export type AdapterSpec = z.infer<typeof adapterSpecSchema>;
export type PreloadTier = AdapterSpec['preload']['tier'];
