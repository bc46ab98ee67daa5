import { Command } from 'commander';
import { refuseWithoutGraph } from '../../runtime/base-model/locate.ts';
import { modelLimits } from '../../runtime/base-model/model-store.ts';
import { withMirrorFlag } from '../registry/registry-flags.ts';
import { pullTo, type TransferFlags, withTransferFlags } from '../registry/transfer.ts';

/** `adaptlet model pull`. */
export const pullCommand = (): Command =>
  withMirrorFlag(withTransferFlags(new Command('pull')))
    .description('write a base model from a registry to a folder; one that broke off goes on where it was')
    .argument('<reference>', 'registry/repository[:tag][@digest]')
    .argument('<folder>', 'folder to write; it must not be there, be empty, or have the same files')
    .addHelpText(
      'after',
      '\nEvery file is verified by its digest.\n\nExample:\n  adaptlet model pull registry.example/models/smollm2:int4 smollm2',
    )
    .action(async (reference: string, folder: string, flags: TransferFlags) => {
      await pullTo(reference, folder, flags, { limits: modelLimits, check: refuseWithoutGraph });
    });
