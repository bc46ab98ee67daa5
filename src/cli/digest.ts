import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { startDiskThread } from '../artifact/disk-thread.ts';
import { defaultLimits } from '../artifact/manifest.ts';
import { packFolder } from '../artifact/pack.ts';
import { type DigestFlags, digestOfArchive, digestOfHub, digestOfUrl } from './digest-of-source.ts';
import { withServerFlags } from './registry/registry-flags.ts';

/** `adaptlet digest`: what `spec.digest` of an Adapter is, and its source where that is not a folder. */
export const digestCommand = (): Command =>
  withServerFlags(new Command('digest'))
    .description(
      'print the digest of a PEFT adapter, for spec.digest; the same files have the same digest wherever they are',
    )
    .argument(
      '<place>',
      'folder with adapter_config.json and adapter_model.safetensors; archive of such a folder (.tar, .tar.gz, .tar.zst, .zip), as a file or an address; or hf://owner/name[/folder][@revision]',
    )
    .option(
      '--endpoint <url>',
      'hub that hf:// is about [HF_ENDPOINT, default https://huggingface.co]; a token is taken from HF_TOKEN',
    )
    .addHelpText(
      'after',
      '\nOf a folder the digest alone is printed, of anything else the lines for an Adapter. What is far away is downloaded and not kept.\n\nExamples:\n  adaptlet digest my-adapter\n  adaptlet digest https://files.example/team-a/sql-v2.tar.gz\n  adaptlet digest hf://team-a/sql-lora@main',
    )
    .action(async (place: string, flags: DigestFlags) => {
      process.stdout.write(`${await textOf(place, flags)}\n`);
    });

const textOf = async (place: string, flags: DigestFlags): Promise<string> => {
  if (/^https?:\/\//.test(place)) return await digestOfUrl(place, flags);
  if (place.startsWith('hf://')) return await digestOfHub(place, flags);
  const path = resolve(place);
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() === true) return await digestOfArchive(path);
  await using disk = startDiskThread();
  const { signal } = new AbortController();
  return (await packFolder(path, { disk, limits: defaultLimits, signal })).digest;
};
