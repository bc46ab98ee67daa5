import { createPublicKey } from 'node:crypto';
import { z } from 'zod';
import { labelNameSchema } from './names.ts';
import { cel, formed, line, type Requirement } from './text.ts';
import { duplicatesOf } from './unique.ts';

/** Least length of an RSA key, in bits. */
const minRsaBits = 2048;

/** Whether signatures are verified with keys of this kind. */
export const isSupportedKey = ({
  asymmetricKeyType: type,
  asymmetricKeyDetails: details,
}: Pick<ReturnType<typeof createPublicKey>, 'asymmetricKeyType' | 'asymmetricKeyDetails'>): boolean =>
  type === 'ed25519' ||
  (type === 'ec' && details?.namedCurve === 'prime256v1') ||
  (type === 'rsa' && (details?.modulusLength ?? 0) >= minRsaBits);

const isPublicKey = (pem: string): boolean => {
  // What begins otherwise may be a private key, of which Node would make a public one.
  if (!pem.trimStart().startsWith('-----BEGIN PUBLIC KEY-----')) return false;
  try {
    return isSupportedKey(createPublicKey(pem));
  } catch {
    return false;
  }
};

const publicKeyForm: Requirement = {
  holds: isPublicKey,
  rule: "self.contains('-----BEGIN PUBLIC KEY-----')",
  advice:
    'must be a public key in PEM (-----BEGIN PUBLIC KEY-----) of ECDSA P-256, RSA of 2048 bits or more, or Ed25519: cosign.pub is one',
};

const isJsonObject = (value: string): boolean => {
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === 'object' && parsed !== null && 'certificateAuthorities' in parsed;
  } catch {
    return false;
  }
};

const trustRootForm: Requirement = {
  holds: isJsonObject,
  rule: "self.contains('certificateAuthorities')",
  advice: 'must be a trusted_root.json of sigstore, with certificateAuthorities',
};

/** The API server takes no two of one name, and merges what several managers apply. */
const namedList = { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] };

const keySchema = z
  .strictObject({
    name: labelNameSchema.meta({
      description: 'Name of the key, unique in the list; messages have it. Example: release-2027',
    }),
    publicKey: formed(4096, publicKeyForm).meta({
      description: 'The key in PEM, as cosign.pub has it. Example: "-----BEGIN PUBLIC KEY-----…"',
    }),
  })
  .meta({ description: 'A key whose signature is taken.' });

const identitySchema = z
  .strictObject({
    name: labelNameSchema.meta({
      description: 'Name of the identity, unique in the list; messages have it. Example: ci',
    }),
    issuer: line(512).meta({
      description:
        'Issuer of the token that its certificate was given for, compared as a whole. Example: https://token.actions.githubusercontent.com',
    }),
    subject: line(512).meta({
      description:
        'Subject alternative name of its certificate, compared as a whole. Example: https://github.com/team-a/adapters/.github/workflows/release.yml@refs/heads/main',
    }),
  })
  .meta({ description: 'Who signs without a key of its own: what its certificate of the trust root says.' });

const signersShape = {
  keys: z
    .array(keySchema)
    .max(16)
    .superRefine(duplicatesOf('name'))
    .default([])
    .meta({
      description:
        'Keys of which one has to have signed, at most 16. With the old and the new one in the list, keys change without an interruption.',
      ...namedList,
    }),
  trustRoot: formed(65_536, trustRootForm)
    .meta({
      description:
        'A trusted_root.json of sigstore, for identities: certificate authorities, logs and timestamp authorities. Nothing else is asked, so nodes verify without a network. Default none.',
    })
    .optional(),
  identities: z
    .array(identitySchema)
    .max(16)
    .superRefine(duplicatesOf('name'))
    .default([])
    .meta({
      description: 'Identities of the trust root of which one may have signed instead, at most 16.',
      ...namedList,
    }),
};

const someone = 'must have a key or an identity: else nothing could be signed';
const rooted = 'identities need trustRoot';

const checkSigners = (
  { keys, identities, trustRoot }: z.infer<z.ZodObject<typeof signersShape>>,
  ctx: z.RefinementCtx,
): void => {
  if (keys.length + identities.length === 0) ctx.addIssue({ code: 'custom', message: someone });
  if (identities.length > 0 && trustRoot === undefined)
    ctx.addIssue({ code: 'custom', path: ['identities'], message: rooted });
};

const rules = cel(
  {
    rule: '(has(self.keys) && size(self.keys) > 0) || (has(self.identities) && size(self.identities) > 0)',
    message: someone,
  },
  {
    rule: '!has(self.identities) || size(self.identities) == 0 || has(self.trustRoot)',
    message: rooted,
  },
);

/** Who has to have signed, of an Adapter. */
export const signersSchema = z
  .strictObject(signersShape)
  .superRefine(checkSigners)
  .meta({
    description:
      'Who has to have signed the artifact, besides what the policy of the namespace asks for. Default: nobody.',
    ...rules,
  });
export type Signers = z.infer<typeof signersSchema>;

/** Who has to have signed the adapters of a namespace. */
export const signaturesSchema = z
  .strictObject({
    required: z.boolean().default(true).meta({
      description:
        'Whether an adapter that is not signed is refused. false: its condition SignatureVerified says so, and it is served. Default true.',
    }),
    ...signersShape,
  })
  .superRefine(checkSigners)
  .meta({
    description:
      'Who has to have signed the adapters of the namespace, those of single users included. Operator and nodes verify it, each itself. Default: nobody.',
    ...rules,
  });
export type Signatures = z.infer<typeof signaturesSchema>;
