import { z } from 'zod';
import { digestSchema } from './names.ts';
import { maxStatusMessage } from './rollout-status.ts';
import { text } from './text.ts';

const bytes = (what: string) =>
  z
    .int()
    .min(0)
    .meta({ description: `${what}, in bytes.` });
const count = (what: string) => z.int().min(0).max(1_000_000).meta({ description: what });

const budget = (what: string) =>
  z
    .strictObject({ budgetBytes: bytes('Most that may be used'), usedBytes: bytes('What is used now') })
    .meta({ description: what });

/** An AdapterRuntime has nothing for users to set yet. */
export const runtimeSpecSchema = z.strictObject({}).meta({ description: 'Nothing to set yet.' });

export const runtimeStatusSchema = z
  .strictObject({
    version: text(64).meta({ description: 'Version of Adaptlet that runs there.' }),
    ready: z.boolean().meta({ description: 'Requests can be answered.' }),
    message: text(maxStatusMessage).meta({ description: 'Why it is not ready; empty when it is.' }),
    baseModel: z
      .strictObject({
        name: text(128).meta({ description: 'Name of the base model.' }),
        digest: digestSchema
          .meta({ description: 'Digest of its files; absent until it is loaded.' })
          .optional(),
      })
      .meta({ description: 'The base model that is loaded there.' }),
    executionProvider: text(128).meta({ description: 'What runs the graph. Example: CPUExecutionProvider' }),
    memory: budget('RAM for adapters.'),
    disk: budget('Disk for adapters.'),
    adapters: z
      .strictObject({
        remote: count('Known, not here.'),
        fetching: count('On the way here.'),
        stored: count('On disk, digest verified.'),
        compiled: count('On disk, converted for the engine.'),
        loaded: count('In RAM, not validated yet.'),
        resident: count('In RAM, validated, ready for the next token.'),
        draining: count('Leaving RAM once its requests are over.'),
        failed: count('Refused, or could not be brought here.'),
      })
      .meta({ description: 'Number of adapters in each state.' }),
  })
  .meta({ description: 'What the runtime is, has and serves. Written by Adaptlet.' });
