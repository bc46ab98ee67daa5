import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { z } from 'zod';
import { parseQuantity } from '../../api/quantity.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { containerSchema, namedSchema, sidecarName } from './pod.ts';

/** Variable of the budget that a pod may set itself. */
export const adapterMemoryVariable = 'ADAPTLET_ADAPTER_MEMORY';

const quantity = z.union([z.string(), z.number()]).transform(String);
const amounts = z.record(z.string(), quantity);

const bytes = z.string().refine(
  (text) => {
    try {
      return parseQuantity(text) >= 0;
    } catch {
      return false;
    }
  },
  { error: 'must be a quantity such as 256Mi' },
);

/** What is injected, as the chart writes it. */
const templateSchema = z.strictObject({
  container: containerSchema.extend({
    name: z.literal(sidecarName),
    restartPolicy: z.literal('Always'),
    env: z
      .array(z.looseObject({ name: z.string(), value: z.string().optional() }))
      .refine((env) => env.some(({ name, value }) => name === adapterMemoryVariable && value !== undefined), {
        error: `must have ${adapterMemoryVariable}`,
      }),
    resources: z
      .looseObject({
        requests: z.looseObject({ memory: bytes.optional() }).and(amounts).optional(),
        limits: z.looseObject({ memory: bytes.optional() }).and(amounts).optional(),
      })
      .optional(),
  }),
  volumes: z.array(namedSchema),
  imagePullSecrets: z.array(namedSchema).default([]),
});
export type Sidecar = z.infer<typeof templateSchema>;

/**
 * Reads the template anew, so that a change of the ConfigMap needs no restart.
 * @throws CONFIG_INVALID
 */
export const readSidecar = async (file: string): Promise<Sidecar> => {
  const invalid = (why: string, cause: unknown): AdaptletError =>
    new AdaptletError('CONFIG_INVALID', `the sidecar in ${file} cannot be used: ${why}`, {
      advice: 'Install the chart of this version with injection.enabled: it writes the file.',
      cause,
    });
  try {
    const read = templateSchema.safeParse(parse(await readFile(file, 'utf8')));
    if (read.success) return read.data;
    const why = read.error.issues.slice(0, 3).map(({ path, message }) => `${path.join('.')} ${message}`);
    throw invalid(why.join('; '), read.error);
  } catch (error) {
    if (error instanceof AdaptletError) throw error;
    throw invalid(error instanceof Error ? error.message : String(error), error);
  }
};
