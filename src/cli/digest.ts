import { resolve } from 'node:path';
import { Command } from 'commander';
import { startDiskThread } from '../artifact/disk-thread.ts';
import { defaultLimits } from '../artifact/manifest.ts';
import { packFolder } from '../artifact/pack.ts';

/** `adaptlet digest FOLDER`: what `spec.digest` of an Adapter with that folder as `source.path` is. */
export const digestCommand = (): Command =>
  new Command('digest')
    .description(
      'print the digest of a PEFT folder, for spec.digest; the same files have the same digest on every machine',
    )
    .argument('<folder>', 'folder with adapter_config.json and adapter_model.safetensors')
    .action(async (folder: string) => {
      await using disk = startDiskThread();
      const { signal } = new AbortController();
      const { digest } = await packFolder(resolve(folder), { disk, limits: defaultLimits, signal });
      process.stdout.write(`${digest}\n`);
    });
