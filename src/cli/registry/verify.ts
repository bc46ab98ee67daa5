import { Command } from 'commander';
import { verifyInRegistry } from '../../artifact/bundles.ts';
import { digestOf } from '../../artifact/digest.ts';
import { placeOf } from '../../artifact/offer.ts';
import { Registry } from '../../artifact/registry.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import {
  imageOf,
  type RegistryFlags,
  readingOptionsOf,
  withMirrorFlag,
  withRegistryFlags,
} from './registry-flags.ts';
import { type SignerFlags, signersOf, withSignerFlags } from './signature-flags.ts';
import { type OutputFlags, printResult, withOutputFlags } from './transfer.ts';

const nameOf = (signer: string | undefined, { key = [], certificateIdentity }: SignerFlags): string => {
  const index = /^key-(\d+)$/.exec(signer ?? '')?.[1];
  return (index === undefined ? certificateIdentity : key[Number(index)]) ?? '';
};

/** `adaptlet verify`. */
export const verifyCommand = (): Command =>
  withOutputFlags(withMirrorFlag(withRegistryFlags(withSignerFlags(new Command('verify')))))
    .description('verify that an adapter in a registry is signed, as a node does it')
    .argument('<reference>', 'registry/repository[:tag][@digest]')
    .addHelpText(
      'after',
      '\nEnds with 1 and says why where it is not. Only the registry is asked: no log, no certificate authority.\n\nExample:\n  adaptlet verify registry.example/team-a/sql:v2 --key cosign.pub',
    )
    .action(async (reference: string, flags: RegistryFlags & OutputFlags & SignerFlags) => {
      const image = imageOf(reference);
      const signers = await signersOf(flags);
      const registry = new Registry(readingOptionsOf(flags, process.env));
      const { signal } = new AbortController();
      const manifest = await registry.manifest(image, image.digest ?? image.tag ?? 'latest', signal);
      const digest = digestOf(manifest);
      const pinned = `${placeOf(image)}@${digest}`;
      const requirement = { version: 'flags', demands: [{ where: 'the command line', signers }] };
      try {
        const verified = await verifyInRegistry(registry, image, { digest, requirement }, signal);
        const signer = nameOf(verified.signers[0], flags);
        const text = `${pinned}\nis signed by ${signer}\n`;
        printResult(flags, text, { reference: pinned, digest, verified: true, signer });
      } catch (error) {
        if (!(error instanceof AdaptletError) || !error.code.startsWith('SIGNATURE_')) throw error;
        const isJson = flags.json === true || flags.output === 'json';
        if (!isJson) throw error;
        const { code, message } = error;
        printResult(flags, '', { reference: pinned, digest, verified: false, code, message });
        process.exitCode = 1;
      }
    });
