import { z } from 'zod';
import type { Digest } from '../api/names.ts';

/** Media type of what is signed (https://github.com/in-toto/attestation). */
export const statementType = 'application/vnd.in-toto+json';
const statementVersion = 'https://in-toto.io/Statement/v1';
/** Of attestations by cosign. */
const formerVersion = 'https://in-toto.io/Statement/v0.1';
/** What `cosign sign` of cosign 3 states: this artifact is signed. */
export const signPredicate = 'https://sigstore.dev/cosign/sign/v1';

const schema = z.object({
  _type: z.enum([statementVersion, formerVersion]),
  predicateType: z.string(),
  subject: z.array(z.object({ digest: z.record(z.string(), z.string()) })),
});

export type Statement = {
  /** Of the version that signatures have. */
  readonly isPresent: boolean;
  readonly predicateType: string;
  /** sha256 of what it is about, in hexadecimal. */
  readonly subjects: readonly string[];
};

/** The statement of a payload; undefined: it is none. */
export const statementOf = (payload: Uint8Array): Statement | undefined => {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch {
    return undefined;
  }
  const { success, data } = schema.safeParse(value);
  if (!success) return undefined;
  return {
    isPresent: data._type === statementVersion,
    predicateType: data.predicateType,
    subjects: data.subject.flatMap(({ digest }) => digest['sha256'] ?? []),
  };
};

/** What `cosign sign` states. */
export const statementFor = (digest: Digest): Buffer =>
  Buffer.from(
    JSON.stringify({
      _type: statementVersion,
      subject: [{ digest: { sha256: digest.slice('sha256:'.length) } }],
      predicateType: signPredicate,
      predicate: {},
    }),
  );
