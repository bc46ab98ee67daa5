import { resolve } from 'node:path';
import { Command } from 'commander';
import { startDiskThread } from '../../artifact/disk-thread.ts';
import { defaultLimits } from '../../artifact/manifest.ts';
import { packFolder } from '../../artifact/pack.ts';
import { checkPeftFolder } from '../../runtime/adapter/check-folder.ts';
import { settingsSchema } from '../../runtime/config/settings.ts';
import { sizeText } from './progress.ts';
import { imageOf } from './registry-flags.ts';
import { printResult, pushPacked, type TransferFlags, withPushFlags } from './transfer.ts';

/** `adaptlet push`. */
export const pushCommand = (): Command =>
  withPushFlags(new Command('push'))
    .description('check a PEFT folder and push it to a registry, with the digest that adaptlet digest prints')
    .argument('<folder>', 'folder with adapter_config.json and adapter_model.safetensors')
    .argument('<reference>', 'registry/repository[:tag]')
    .addHelpText(
      'after',
      '\nPrints the digest, and the lines for an Adapter. Nothing is pushed of an adapter that a node would refuse whatever its base model. oras reads what is pushed.\n\nExample:\n  adaptlet push my-adapter registry.example/team-a/sql:v2',
    )
    .action(async (folder: string, reference: string, flags: TransferFlags) => {
      const image = imageOf(reference);
      const path = resolve(folder);
      await using disk = startDiskThread();
      const { signal } = new AbortController();
      const packed = await packFolder(path, { disk, limits: defaultLimits, signal });
      await checkPeftFolder(path, settingsSchema.shape.maxRank.parse(undefined));
      const place = await pushPacked(image, packed, flags);
      const { digest, bytes } = packed;
      const pinned = `${place}@${digest}`;
      const name = image.tag === undefined ? pinned : `${place}:${image.tag}`;
      const source = { oci: { image: name } };
      const text = [
        `pushed ${name}, ${sizeText(bytes)}`,
        pinned,
        'spec of an Adapter:',
        `  source: {oci: {image: ${JSON.stringify(name)}}}`,
        `  digest: ${digest}`,
        '',
      ].join('\n');
      const files = packed.blobs.size - 1;
      printResult(flags, text, { reference: pinned, digest, tag: image.tag ?? '', bytes, files, source });
    });
