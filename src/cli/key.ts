import { createHash, randomBytes } from 'node:crypto';
import { Command } from 'commander';
import { stringify } from 'yaml';
import { labelNameSchema } from '../api/names.ts';
import { apiKeysLabel, keySlots } from '../api/secret-keys.ts';
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

/** A Secret that lets the key in where the policy of the namespace allows it. It has the digest alone. */
export const secretOf = (name: string, namespace: string | undefined, { sha256 }: NewKey): string =>
  stringify({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      labels: { [apiKeysLabel]: 'true' },
    },
    stringData: { [keySlots.present.digest]: sha256 },
  });

type KeyOptions = { readonly secret?: boolean; readonly namespace?: string };

/** `adaptlet key [NAME]` */
export const keyCommand = (): Command =>
  new Command('key')
    .description('make a key for a caller: printed once, with the lines of an AdapterPolicy that let it in')
    .argument('[name]', 'name of the key in the policy, for logs and metrics', 'app')
    .option(
      '--secret',
      'print a Secret with its digest in place of lines of a policy, and the key itself on the standard error',
    )
    .option('-n, --namespace <namespace>', 'namespace of the Secret')
    .action((name: string, { secret, namespace }: KeyOptions) => {
      if (secret !== true && namespace !== undefined)
        throw new AdaptletError('CONFIG_INVALID', '--namespace is that of a Secret: add --secret');
      const made = newKey(name);
      if (secret !== true) {
        process.stdout.write(made.text);
        return;
      }
      process.stderr.write(
        `key: ${made.key}\nIt is shown once and stored nowhere; the Secret has its digest.\n`,
      );
      process.stdout.write(secretOf(name, namespace, made));
    });
