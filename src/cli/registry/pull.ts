import { Command } from 'commander';
import { refuseOther } from '../../artifact/adapter-folder.ts';
import { defaultLimits } from '../../artifact/manifest.ts';
import { withMirrorFlag } from './registry-flags.ts';
import { pullTo, type TransferFlags, withTransferFlags } from './transfer.ts';

/** `adaptlet pull`. */
export const pullCommand = (): Command =>
  withMirrorFlag(withTransferFlags(new Command('pull')))
    .description('write an adapter from a registry to a folder; a pull that broke off goes on where it was')
    .argument('<reference>', 'registry/repository[:tag][@digest]')
    .argument('<folder>', 'folder to write; it must not be there, be empty, or have the same files')
    .addHelpText(
      'after',
      '\nEvery file is verified by its digest.\n\nExample:\n  adaptlet pull registry.example/team-a/sql:v2 sql',
    )
    .action(async (reference: string, folder: string, flags: TransferFlags) => {
      await pullTo(reference, folder, flags, { limits: defaultLimits, check: refuseOther });
    });
