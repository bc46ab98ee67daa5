import { type Command, Option } from 'commander';
import type { ArtifactLimits, Manifest } from '../../artifact/manifest.ts';
import { placeOf } from '../../artifact/offer.ts';
import type { Packed } from '../../artifact/pack.ts';
import { pullFolder } from '../../artifact/pull-folder.ts';
import type { ImageReference } from '../../artifact/reference.ts';
import { Registry } from '../../artifact/registry.ts';
import { RegistryPush } from '../../artifact/registry-push.ts';
import { systemClock } from '../../time/clock.ts';
import { progressLine, sizeText } from './progress.ts';
import {
  imageOf,
  type RegistryFlags,
  readingOptionsOf,
  registryOptionsOf,
  withRegistryFlags,
} from './registry-flags.ts';

export type OutputFlags = { readonly output: 'text' | 'json'; readonly json?: boolean };
export type TransferFlags = RegistryFlags &
  OutputFlags & { readonly quiet?: boolean; readonly mountFrom?: string };

export const withOutputFlags = (command: Command): Command =>
  command
    .addOption(new Option('-o, --output <form>', 'how to print it').choices(['text', 'json']).default('text'))
    .option('--json', 'the same as -o json');

/** Flags of what moves bytes between here and a registry. */
export const withTransferFlags = (command: Command): Command =>
  withOutputFlags(withRegistryFlags(command)).option(
    '--quiet',
    'no progress on stderr; there is none either where that is no terminal',
  );

export const withPushFlags = (command: Command): Command =>
  withTransferFlags(command).option(
    '--mount-from <repository>',
    'another repository of the same registry, from which it may take files that it has there',
  );

export const printResult = ({ output, json }: OutputFlags, text: string, value: object): void =>
  void process.stdout.write(
    json === true || output === 'json' ? `${JSON.stringify(value, undefined, 2)}\n` : text,
  );

const lineOf = (verb: string, { quiet }: TransferFlags) =>
  progressLine(verb, () => systemClock.monotonic(), quiet === true ? { write: () => true } : process.stderr);

/** Pushes what was packed; resolves with its place, `registry/repository`. */
export const pushPacked = async (
  image: ImageReference,
  packed: Packed,
  flags: TransferFlags,
): Promise<string> => {
  using line = lineOf('pushed', flags);
  await new RegistryPush(registryOptionsOf(flags, process.env)).push(image, packed, {
    signal: new AbortController().signal,
    mountFrom: flags.mountFrom,
    onProgress: ({ sentBytes, totalBytes }) => line.tell(sentBytes, totalBytes),
  });
  return placeOf(image);
};

/** Pulls into a folder and prints what came. */
export const pullTo = async (
  reference: string,
  folder: string,
  flags: TransferFlags,
  kind: { readonly limits: ArtifactLimits; readonly check: (manifest: Manifest, where: string) => void },
): Promise<void> => {
  const image = imageOf(reference);
  const pull = async () => {
    using line = lineOf('received', flags);
    return await pullFolder({
      registry: new Registry(readingOptionsOf(flags, process.env)),
      image,
      folder,
      ...kind,
      signal: new AbortController().signal,
      onProgress: ({ receivedBytes, totalBytes }) => line.tell(receivedBytes, totalBytes),
    });
  };
  const { digest, bytes, wasThere } = await pull();
  const text = `${folder}: ${sizeText(bytes)}${wasThere ? ', which was there already' : ''}\n${digest}\n`;
  printResult(flags, text, { folder, digest, bytes, wasThere });
};
