import { defineErrors } from './define.ts';

/** An adapter has to be signed, and is not as its policies ask. None of these is served. */
export const signatureErrors = defineErrors({
  SIGNATURE_MISSING: {
    summary: 'An adapter has to be signed, and there is no signature of it.',
    advice:
      'Sign it with `adaptlet sign` or `cosign sign`, in the repository that it is in; it is looked for again by itself.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  SIGNATURE_INVALID: {
    summary:
      'A signature does not fit what it signs: one of the two was changed, or it is no signature at all.',
    advice: 'Find out who changed it. Where the adapter is yours, sign it again.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  SIGNATURE_UNTRUSTED: {
    summary: 'An adapter is signed, but by no key and no identity that is trusted.',
    advice:
      'Have it signed by a key or an identity of spec.signatures, or have the administrator add the one that signed it.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  SIGNATURE_EXPIRED: {
    summary:
      'The certificate of a signature was not valid when it was made, or nothing proves when that was.',
    advice:
      'Sign it again; with a certificate, a timestamp or an entry of a log has to be a part of the signature.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  SIGNATURE_WRONG_SUBJECT: {
    summary: 'A signature is genuine, and for another artifact.',
    advice: 'Sign this digest: a signature holds for one manifest, not for what a tag meant once.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  SIGNATURE_WRONG_PREDICATE: {
    summary: 'What a trusted key has signed is another statement about the artifact, such as an attestation.',
    advice: 'Sign the artifact itself: `adaptlet sign` or `cosign sign`, not `cosign attest`.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  SIGNATURE_FORM: {
    summary: 'There is a signature of a form that is not taken, such as one of a file (messageSignature).',
    advice: 'Sign with `adaptlet sign`, or with `cosign sign` of cosign 3 and its new bundle format.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  SIGNATURE_TOO_MANY: {
    summary:
      'An artifact has more referrers than are read, and none of those that were read is a valid signature.',
    advice: 'Remove referrers that are no signatures from the repository.',
    grpc: 'FAILED_PRECONDITION',
    retry: 'Backoff',
  },
  SIGNING_KEY_INVALID: {
    summary: 'A key cannot be read, or is of a kind that is not used for signatures of adapters.',
    advice:
      'Give a key as cosign generate-key-pair or openssl writes it: ECDSA P-256, RSA of 2048 bits or more, or Ed25519. The password comes from COSIGN_PASSWORD.',
    grpc: 'INVALID_ARGUMENT',
    retry: 'AfterChange',
  },
});
