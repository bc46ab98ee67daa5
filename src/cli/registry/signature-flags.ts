import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { type Signers, signersSchema } from '../../api/signatures.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { readSigningKey } from '../../signature/signing-key.ts';

/** Files of keys are small. */
const maxKeyLength = 64 * 1024;

/** cosign's own name, so that one setting serves both. */
export const passwordOf = (environment: Readonly<Record<string, string | undefined>>): string | undefined =>
  environment['COSIGN_PASSWORD'];

const readText = async (path: string, what: string): Promise<string> => {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new AdaptletError('SIGNING_KEY_INVALID', `${what} ${path} cannot be read`, {
      advice: 'Check that the file is there and may be read.',
      cause: error,
    });
  }
  if (text.length <= maxKeyLength) return text;
  throw new AdaptletError('SIGNING_KEY_INVALID', `${what} ${path} has ${text.length} characters`);
};

/** @throws AdaptletError SIGNING_KEY_INVALID */
export const signingKeyOf = async (path: string, password: string | undefined) =>
  readSigningKey(await readText(path, 'the key'), password, path);

export type SignerFlags = {
  readonly key?: readonly string[];
  readonly trustRoot?: string;
  readonly certificateIdentity?: string;
  readonly certificateOidcIssuer?: string;
};

export const withSignerFlags = (command: Command): Command =>
  command
    .option(
      '--key <file>',
      'public key in PEM, such as cosign.pub; given more than once, one of them has to have signed',
      // Not variadic: it would take the reference that follows for a key.
      (path: string, before: readonly string[] | undefined) => [...(before ?? []), path],
    )
    .option('--trust-root <file>', 'a trusted_root.json of sigstore, for an identity instead of a key')
    .option('--certificate-identity <subject>', 'who has to have signed, by the trust root, as a whole')
    .option('--certificate-oidc-issuer <issuer>', 'who has to have issued its token, as a whole');

/**
 * Whose signatures are taken, as a policy would have it.
 * @throws AdaptletError SIGNING_KEY_INVALID
 */
export const signersOf = async (flags: SignerFlags): Promise<Signers> => {
  const { key = [], trustRoot, certificateIdentity: subject, certificateOidcIssuer: issuer } = flags;
  const isKeyless = trustRoot !== undefined || subject !== undefined || issuer !== undefined;
  if (isKeyless && (trustRoot === undefined || subject === undefined || issuer === undefined))
    throw new AdaptletError('SIGNING_KEY_INVALID', 'an identity is three things', {
      advice: 'Give --trust-root, --certificate-identity and --certificate-oidc-issuer together.',
    });
  if (key.length === 0 && !isKeyless)
    throw new AdaptletError('SIGNING_KEY_INVALID', 'nobody is named whose signature would be taken', {
      advice: 'Give --key cosign.pub, or a trust root and an identity.',
    });
  const keys = await Promise.all(
    key.map(async (path, index) => ({ name: `key-${index}`, publicKey: await readText(path, 'the key') })),
  );
  const root = trustRoot === undefined ? undefined : await readText(trustRoot, 'the trust root');
  const read = signersSchema.safeParse({
    keys,
    ...(root === undefined ? {} : { trustRoot: root }),
    identities: isKeyless ? [{ name: 'identity', issuer, subject }] : [],
  });
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const index = issue?.path[0] === 'keys' ? Number(issue.path[1]) : undefined;
  const where = (index === undefined ? trustRoot : key[index]) ?? 'what was given';
  throw new AdaptletError('SIGNING_KEY_INVALID', `${where} ${issue?.message ?? 'is not valid'}`);
};
