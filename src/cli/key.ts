import { createHash, randomBytes } from 'node:crypto';
import { Command } from 'commander';
import { labelNameSchema } from '../api/names.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';

/** A key and the lines of an AdapterPolicy that let it in. */
export type NewKey = { readonly key: string; readonly sha256: string; readonly text: string };

/**
 * Makes a key of 32 random bytes.
 * @throws CONFIG_INVALID for a name that no key may have
 */
export const newKey = (name: string, random: (bytes: number) => Buffer = randomBytes): NewKey => {
  if (!labelNameSchema.safeParse(name).success)
    throw new AdaptletError(
      'CONFIG_INVALID',
      `a key cannot have the name ${name}: it must be lower-case letters, digits and -`,
    );
  const key = `adk_${random(32).toString('base64url')}`;
  const sha256 = createHash('sha256').update(key).digest('hex');
  const text = `key: ${key}

It is shown once and stored nowhere. Callers send it as \`Authorization: Bearer KEY\`.
The AdapterPolicy of the namespace has only its digest:

spec:
  clients:
    apiKeys:
      - name: ${name}
        sha256: ${sha256}
`;
  return { key, sha256, text };
};

/** `adaptlet key [NAME]` */
export const keyCommand = (): Command =>
  new Command('key')
    .description('make a key for a caller: printed once, with the lines of an AdapterPolicy that let it in')
    .argument('[name]', 'name of the key in the policy, for logs and metrics', 'app')
    .action((name: string) => {
      process.stdout.write(newKey(name).text);
    });
