import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { type DiskThread, startDiskThread } from '../../artifact/disk-thread.ts';
import { defaultLimits } from '../../artifact/manifest.ts';
import { adapterFiles, type Packed, packFolder } from '../../artifact/pack.ts';
import { type PackForm, packAs } from '../../artifact/pack-forms.ts';
import { checkPeftFolder } from '../../runtime/adapter/check-folder.ts';
import { classifierFile, readClassifier } from '../../runtime/classifiers/artifact-file.ts';
import { settingsSchema } from '../../runtime/config/settings.ts';
import { sizeText } from './progress.ts';
import { type FormFlags, formFrom, withFormFlags } from './pushed-form.ts';
import { imageOf } from './registry-flags.ts';
import { printResult, pushPacked, type TransferFlags, withPushFlags } from './transfer.ts';

/** Archives of another form lie in a folder of the system until they are pushed. */
const withPacked = async <T>(
  folder: string,
  form: PackForm | undefined,
  disk: DiskThread,
  work: (packed: Packed) => Promise<T>,
): Promise<T> => {
  const { signal } = new AbortController();
  const options = { disk, limits: defaultLimits, signal };
  if (form === undefined) return await work(await packFolder(folder, options));
  const scratch = await mkdtemp(join(tmpdir(), 'adaptlet-push-'));
  try {
    return await work(await packAs(await adapterFiles(folder, options), form, { scratch, disk, signal }));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
};

/** `adaptlet push`. */
export const pushCommand = (): Command =>
  withFormFlags(withPushFlags(new Command('push')))
    .description(
      'check a PEFT folder, or one of adaptlet classifier distil, and push it to a registry, with the digest that adaptlet digest prints',
    )
    .argument('<folder>', 'folder with adapter_config.json and adapter_model.safetensors, or of a classifier')
    .argument('<reference>', 'registry/repository[:tag]')
    .addHelpText(
      'after',
      '\nPrints the digest, and the lines for an Adapter. Nothing is pushed of an adapter that a node would refuse whatever its base model. What is pushed is a ModelPack; oras reads it as well.\n\nExample:\n  adaptlet push my-adapter registry.example/team-a/sql:v2',
    )
    .action(async (folder: string, reference: string, flags: TransferFlags & FormFlags) => {
      const image = imageOf(reference);
      const form = formFrom(flags);
      const path = resolve(folder);
      await using disk = startDiskThread();
      await withPacked(path, form, disk, async (packed) => {
        const isClassifier = existsSync(join(path, classifierFile));
        if (isClassifier) await readClassifier(path);
        else await checkPeftFolder(path, settingsSchema.shape.maxRank.parse(undefined));
        const place = await pushPacked(image, packed, flags);
        const { digest, bytes } = packed;
        const pinned = `${place}@${digest}`;
        const name = image.tag === undefined ? pinned : `${place}:${image.tag}`;
        const source = { oci: { image: name } };
        const text = [
          `pushed ${name}, ${sizeText(bytes)}`,
          pinned,
          isClassifier ? 'examples of a classifier of an AdapterRoute:' : 'spec of an Adapter:',
          `  source: {oci: {image: ${JSON.stringify(name)}}}`,
          `  digest: ${digest}`,
          '',
        ].join('\n');
        const files = packed.blobs.size - 1;
        printResult(flags, text, { reference: pinned, digest, tag: image.tag ?? '', bytes, files, source });
      });
    });
