import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { digestSchema } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';

/** The file of a composed adapter that names the adapters which it was made of. */
export const parentsFile = 'adaptlet_parents.json';

/** What a manifest says of them, as JSON. */
export const parentsAnnotation = 'adaptlet.io/parents';

const schema = z.strictObject({
  /** How they were merged. */
  method: z.string().max(100),
  parents: z.array(z.strictObject({ digest: digestSchema, weight: z.number() })).max(1000),
});
export type Parents = z.infer<typeof schema>;

/**
 * Annotations of a folder that was composed, out of its file; the digest of an artifact depends on nothing but its files.
 * @throws ARTIFACT_FILE_REFUSED
 */
export const parentsAnnotations = async (folder: string): Promise<Readonly<Record<string, string>>> => {
  const path = join(folder, parentsFile);
  try {
    const parents = schema.parse(JSON.parse(await readFile(path, 'utf8')));
    return { [parentsAnnotation]: JSON.stringify(parents) };
  } catch (cause) {
    throw new AdaptletError('ARTIFACT_FILE_REFUSED', `${path} does not name parents`, {
      advice: 'Remove the file, or make the folder again with `adaptlet compose`.',
      cause,
    });
  }
};
