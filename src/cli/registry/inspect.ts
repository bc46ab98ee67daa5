import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { startDiskThread } from '../../artifact/disk-thread.ts';
import { type Inspection, inspectFolder, inspectImage } from '../../artifact/inspect.ts';
import { Registry } from '../../artifact/registry.ts';
import { quoteUntrusted } from '../../errors/quote-untrusted.ts';
import {
  imageOf,
  type RegistryFlags,
  readingOptionsOf,
  withMirrorFlag,
  withRegistryFlags,
} from './registry-flags.ts';
import { type OutputFlags, printResult, withOutputFlags } from './transfer.ts';

const line = (label: string, value: string | number | undefined): string[] =>
  value === undefined ? [] : [`${label.padEnd(14)}${value}`];

/** What came from a registry goes to a terminal: only as one line, and without what moves its cursor. */
const shown = (value: string | undefined): string | undefined =>
  value === undefined || /^[\x20-\x7e]{0,300}$/.test(value) ? value : quoteUntrusted(value);

const targetsText = (targets: string | readonly string[] | undefined): string | undefined =>
  typeof targets === 'string' || targets === undefined ? targets : targets.join(', ');

/** As a person reads it. Pure. */
export const inspectionText = (name: string, found: Inspection): string => {
  const { digest, form, artifactType, bytes, adapter, files, annotations } = found;
  return [
    ...line('adapter', name),
    ...line('digest', digest),
    ...line('form', form),
    ...line('type', shown(artifactType)),
    ...line('size', `${bytes} bytes`),
    ...line('base model', shown(adapter?.baseModel)),
    ...line('rank', adapter?.rank),
    ...line('targets', shown(targetsText(adapter?.targets))),
    ...line('task', shown(adapter?.task)),
    ...(adapter === undefined ? line('configuration', 'in an archive: pull it to see it') : []),
    ...files.flatMap((file) =>
      line(
        'file',
        `${shown(file.name) ?? `archive ${shown(file.mediaType)}`}, ${file.size} bytes, ${file.digest}`,
      ),
    ),
    ...Object.entries(annotations).flatMap(([key, value]) =>
      line('annotation', `${shown(key)}: ${shown(value)}`),
    ),
    '',
  ].join('\n');
};

/** `adaptlet inspect`. */
export const inspectCommand = (): Command =>
  withOutputFlags(withMirrorFlag(withRegistryFlags(new Command('inspect'))))
    .description('show what an adapter in a registry or folder is, without its weights')
    .argument('<adapter>', 'folder, or registry/repository[:tag][@digest]')
    .addHelpText(
      'after',
      '\nOf a folder it shows what adaptlet push would send.\n\nExample:\n  adaptlet inspect registry.example/team-a/sql:v2',
    )
    .action(async (name: string, flags: RegistryFlags & OutputFlags) => {
      const { signal } = new AbortController();
      await using disk = startDiskThread();
      const isFolder = existsSync(name) || /^[./~]/.test(name);
      const found = isFolder
        ? await inspectFolder(resolve(name), disk, signal)
        : await inspectImage(new Registry(readingOptionsOf(flags, process.env)), imageOf(name), signal);
      printResult(flags, inspectionText(name, found), { name, ...found });
    });
