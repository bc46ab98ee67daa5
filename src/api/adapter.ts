import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { imageVersion } from './image.ts';
import { digestSchema, modelNameSchema } from './names.ts';
import { selectorSchema } from './selector.ts';
import { signersSchema } from './signatures.ts';
import { sourceSchema } from './source.ts';
import { cel } from './text.ts';
import { validationSchema } from './validation.ts';

/** Fields of an Adapter that never change, nor appear, nor go away. */
export const immutableAdapterFields = ['baseModel', 'baseModelDigests', 'source', 'digest'] as const;
const optionalFields: readonly string[] = ['baseModelDigests', 'digest'];

export const immutableMessage = (field: string): string =>
  `spec.${field} is immutable: create a new Adapter (for example sql-v3) and point the AdapterRollout at it`;

const immutabilityRule = (field: string): string =>
  optionalFields.includes(field)
    ? `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`
    : `self.${field} == oldSelf.${field}`;

const tagMessage = 'needs a tag or a digest, or set spec.digest';
const digestMessage = 'must equal the digest in spec.source.oci.image: keep one of the two';

export const adapterSpecSchema = z
  .strictObject({
    baseModel: modelNameSchema.meta({
      description:
        'Name of the base model that the adapter was trained on, as runtimes announce it. Immutable. Example: smollm2-135m',
    }),
    baseModelDigests: z
      .array(digestSchema)
      .min(1)
      .max(16)
      .meta({
        description:
          'Builds of the base model (int4, fp16, …) that the adapter is made for; the one of the runtime must be among them. Immutable. Default: every build of that name.',
      })
      .optional(),
    source: sourceSchema,
    digest: digestSchema
      .meta({
        description:
          'Digest of the OCI manifest of the artifact, sha256: and 64 hexadecimal digits. Immutable. When it is absent the first fetch resolves the source and the result is kept for the life of the object.',
      })
      .optional(),
    signatures: signersSchema.optional(),
    priority: z.int().min(-1000).max(1000).default(0).meta({
      description:
        'From -1000 to 1000. Of two adapters that nobody uses the one with the lower priority is evicted first. Default 0.',
    }),
    pinned: z.boolean().default(false).meta({
      description:
        'Stays in RAM while it fits the budget: no other adapter takes its room. An unload or evict by hand still takes it out, and so does --one-adapter. Default false.',
    }),
    preload: z
      .strictObject({
        tier: z.enum(['None', 'Disk', 'Memory']).default('None').meta({
          description:
            'How far the adapter is brought before a request asks for it. None: on demand. Disk: stored and verified. Memory: validated and ready for the next token. Default None.',
        }),
        runtimeSelector: selectorSchema
          .meta({ description: 'Runtimes that preload it. Default: every runtime of the base model.' })
          .optional(),
      })
      .default({ tier: 'None' })
      .meta({ description: 'Where and how far the adapter is brought ahead of requests.' }),
    validation: validationSchema
      .default({ smokeTests: [], allowNoEffect: false })
      .meta({ description: 'What the adapter must pass on each node before it may serve.' }),
  })
  .superRefine(({ source, digest }, ctx) => {
    if (source.oci === undefined) return;
    const version = imageVersion(source.oci.image);
    if (version.tag === undefined && version.digest === undefined && digest === undefined) {
      ctx.addIssue({ code: 'custom', path: ['source', 'oci', 'image'], message: tagMessage });
    }
    if (version.digest !== undefined && digest !== undefined && version.digest !== digest) {
      ctx.addIssue({ code: 'custom', path: ['digest'], message: digestMessage });
    }
  })
  .meta({
    description: 'One immutable adapter artifact for one base model. A new version is a new object.',
    ...cel(
      {
        rule: "!has(self.source.oci) || has(self.digest) || self.source.oci.image.matches('(:[^/:@]+|@sha256:[0-9a-f]{64})$')",
        message: `spec.source.oci.image ${tagMessage}`,
      },
      {
        rule: "!has(self.source.oci) || !has(self.digest) || !self.source.oci.image.contains('@') || self.source.oci.image.endsWith('@' + self.digest)",
        message: `spec.digest ${digestMessage}`,
      },
      ...immutableAdapterFields.map((field) => ({
        rule: immutabilityRule(field),
        message: immutableMessage(field),
      })),
    ),
  });
export type AdapterSpec = z.infer<typeof adapterSpecSchema>;
export type PreloadTier = AdapterSpec['preload']['tier'];

/** Why an Adapter cannot change from one spec to the other; empty when it can. Presence counts as well as value. */
export const immutabilityProblems = (oldSpec: AdapterSpec, newSpec: AdapterSpec): string[] =>
  immutableAdapterFields
    .filter((field) => !isDeepStrictEqual(oldSpec[field], newSpec[field]))
    .map((field) => immutableMessage(field));
