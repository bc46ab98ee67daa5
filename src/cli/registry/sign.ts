import { Command } from 'commander';
import { placeOf } from '../../artifact/offer.ts';
import { Registry } from '../../artifact/registry.ts';
import { RegistryPush } from '../../artifact/registry-push.ts';
import { signArtifact } from '../../artifact/sign-artifact.ts';
import { systemClock } from '../../time/clock.ts';
import { imageOf, type RegistryFlags, registryOptionsOf, withRegistryFlags } from './registry-flags.ts';
import { passwordOf, signingKeyOf } from './signature-flags.ts';
import { type OutputFlags, printResult, withOutputFlags } from './transfer.ts';

/** `adaptlet sign`. */
export const signCommand = (): Command =>
  withOutputFlags(withRegistryFlags(new Command('sign')))
    .description('sign an adapter in a registry, as cosign 3 does with a key; cosign verifies it')
    .argument('<reference>', 'registry/repository[:tag][@digest]')
    .requiredOption(
      '--key <file>',
      'private key: cosign.key, or PKCS #8 in PEM of ECDSA P-256, RSA or Ed25519; its password comes from COSIGN_PASSWORD',
    )
    .addHelpText(
      'after',
      '\nSigned is the digest that the tag has now. No transparency log is written.\n\nExample:\n  adaptlet sign registry.example/team-a/sql:v2 --key cosign.key',
    )
    .action(async (reference: string, flags: RegistryFlags & OutputFlags & { readonly key: string }) => {
      const image = imageOf(reference);
      const key = await signingKeyOf(flags.key, passwordOf(process.env));
      const options = registryOptionsOf(flags, process.env);
      const clients = { registry: new Registry(options), push: new RegistryPush(options) };
      const { signal } = new AbortController();
      const at = systemClock.now();
      const { digest, signature, foundBy } = await signArtifact(clients, image, { key, at }, signal);
      const pinned = `${placeOf(image)}@${digest}`;
      const text = `signed ${pinned}\nby ${placeOf(image)}@${signature}\n`;
      printResult(flags, text, { reference: pinned, digest, signature, foundBy });
    });
