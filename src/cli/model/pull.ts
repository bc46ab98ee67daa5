import { Command, Option } from 'commander';
import { Registry } from '../../artifact/registry.ts';
import { pullModel } from '../../runtime/base-model/pull-model.ts';
import { systemClock } from '../../time/clock.ts';
import { progressLines, sizeText } from './progress.ts';
import { imageOf, type RegistryFlags, registryOptionsOf, withRegistryFlags } from './registry-flags.ts';

type Flags = RegistryFlags & { readonly output: 'text' | 'json' };

/** `adaptlet model pull`. */
export const pullCommand = (): Command =>
  withRegistryFlags(new Command('pull'))
    .description('write a base model from a registry to a folder; one that broke off goes on where it was')
    .argument('<reference>', 'registry/repository[:tag][@digest]')
    .argument('<folder>', 'folder to write; it must not be there, or be empty')
    .addOption(new Option('-o, --output <form>', 'how to print it').choices(['text', 'json']).default('text'))
    .addHelpText(
      'after',
      '\nEvery file is verified by its digest.\n\nExample:\n  adaptlet model pull registry.example/models/smollm2:int4 smollm2',
    )
    .action(async (reference: string, folder: string, flags: Flags) => {
      const { signal } = new AbortController();
      const line = progressLines(
        'received',
        () => systemClock.monotonic(),
        (text) => void process.stderr.write(text),
      );
      const { digest, bytes } = await pullModel({
        registry: new Registry(registryOptionsOf(flags, process.env)),
        image: imageOf(reference),
        folder,
        signal,
        onProgress: ({ receivedBytes, totalBytes }) => line(receivedBytes, totalBytes),
      });
      const text = `${folder}: ${sizeText(bytes)}\n${digest}\n`;
      const json = `${JSON.stringify({ folder, digest, bytes }, undefined, 2)}\n`;
      process.stdout.write(flags.output === 'json' ? json : text);
    });
