import { readFile } from 'node:fs/promises';
import { z } from 'zod';

/** What the control file says: written whole by a test, read again whenever it changes. */
const controlSchema = z.strictObject({
  /** Devices that are there, by id. */
  devices: z.record(
    z.string().regex(/^[a-z0-9-]{1,63}$/),
    z.strictObject({
      health: z.enum(['Healthy', 'Unhealthy']),
      /** Node of memory that it is near. */
      numa: z.int().min(0).default(0),
    }),
  ),
  /** False: the plugin is gone, as if it had crashed; its process stays. */
  serving: z.boolean().default(true),
});
export type Control = z.output<typeof controlSchema>;
/** What a test writes into the file. */
export type ControlFile = z.input<typeof controlSchema>;

/** @throws when the file is not there, or is none */
export const readControl = async (file: string): Promise<Control> =>
  controlSchema.parse(JSON.parse(await readFile(file, 'utf8')));
