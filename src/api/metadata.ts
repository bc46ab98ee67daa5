import { z } from 'zod';
import { nameSchema, namespaceSchema } from './names.ts';
import { labelsSchema } from './selector.ts';
import { text } from './text.ts';

const annotationKey = text(317).regex(
  /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
  {
    error:
      'must be an annotation key: an optional DNS prefix and "/", then at most 63 letters, digits, "-", "_" or "."',
  },
);

/** metadata of an object as a file may have it. */
export const metadataSchema = z.strictObject({
  name: nameSchema,
  namespace: namespaceSchema.optional(),
  labels: labelsSchema.default({}),
  annotations: z.record(annotationKey, text(65_536)).default({}),
});

/** Fields that `kubectl get -o yaml` shows and that nobody writes by hand. */
export const givenFields: ReadonlyMap<string, string> = new Map([
  ['status', 'status is written by Adaptlet: remove it from the file'],
  ...[
    'uid',
    'generation',
    'creationTimestamp',
    'resourceVersion',
    'managedFields',
    'selfLink',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
  ].map(
    (field) =>
      [`metadata.${field}`, `metadata.${field} is given by the server: remove it from the file`] as const,
  ),
  ['metadata.generateName', 'metadata.generateName makes a new object each time: write metadata.name'],
]);
