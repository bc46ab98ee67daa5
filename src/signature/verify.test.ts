import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../api/names.fixture.ts';
import { AdaptletError } from '../errors/adaptlet-error.ts';
import { requirementOf } from './requirement.ts';
import { signDigest } from './sign.ts';
import { aKeyPair, bundleFor, changed, messageBundle, requires, signersOf } from './signatures.fixture.ts';
import { verifySignatures } from './verify.ts';

const [digest, other] = [fakeDigest('a'), fakeDigest('b')];
const [old, next, stranger] = [aKeyPair(), aKeyPair(), aKeyPair()];
const statement = {
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ digest: { sha256: digest.slice(7) } }],
  predicateType: 'https://sigstore.dev/cosign/sign/v1',
  predicate: {},
};
const good = signDigest(digest, old.privateKey);

/** `CODE: what` */
const refusal = (bundles: readonly Uint8Array[], requirement = requires({ old })): string => {
  try {
    return `signed by ${verifySignatures(bundles, digest, requirement).signers.join()}`;
  } catch (error) {
    if (error instanceof AdaptletError) return `${error.code}: ${error.what}`;
    throw error;
  }
};

describe('an artifact is signed', () => {
  it('by a bundle of a key that is asked for, whichever of them it is', () => {
    expect(refusal([good])).toBe('signed by old');
    expect(refusal([good], requires({ next, old }))).toBe('signed by old');
    expect(refusal([signDigest(digest, next.privateKey)], requires({ old, next }))).toBe('signed by next');
  });

  it('also where other bundles are there that are none', () => {
    const junk = [Buffer.from('{'), messageBundle(Buffer.alloc(32, 1), stranger), good];
    expect(refusal(junk)).toBe('signed by old');
  });

  it('where the statement has more than one subject', () => {
    const subject = [{ digest: { sha256: other.slice(7) } }, { digest: { sha256: digest.slice(7) } }];
    expect(refusal([bundleFor({ ...statement, subject }, old)])).toBe('signed by old');
  });

  it('for an Adapter that asks for more only where both are met', () => {
    const policy = { name: 'team-a/default', signatures: { required: true, ...signersOf({ old }) } };
    const both = requirementOf(policy, signersOf({ next }));
    const byNext = signDigest(digest, next.privateKey);
    expect(refusal([good, byNext], both)).toBe('signed by old,next');
    expect(refusal([byNext], both)).toMatch(/^SIGNATURE_UNTRUSTED: the policy team-a\/default asks/);
    expect(refusal([good], both)).toMatch(/^SIGNATURE_UNTRUSTED: its spec.signatures asks/);
  });
});

describe('an artifact is not signed', () => {
  it.each([
    ['no bundle', [], 'SIGNATURE_MISSING', 'and there is none'],
    ['another key', [signDigest(digest, stranger.privateKey)], 'SIGNATURE_UNTRUSTED', 'is not trusted'],
    [
      'a signature of another digest',
      [signDigest(other, old.privateKey)],
      'SIGNATURE_WRONG_SUBJECT',
      other.slice(7),
    ],
    [
      'an attestation',
      [bundleFor({ ...statement, predicateType: 'https://slsa.dev/provenance/v1' }, old)],
      'SIGNATURE_WRONG_PREDICATE',
      'slsa.dev/provenance/v1',
    ],
    [
      'a signature of a file',
      [messageBundle(Buffer.from(digest.slice(7), 'hex'), old)],
      'SIGNATURE_FORM',
      'messageSignature',
    ],
    [
      'an attestation of an earlier form, as cosign makes them',
      [bundleFor({ ...statement, _type: 'https://in-toto.io/Statement/v0.1', predicateType: 'x' }, old)],
      'SIGNATURE_WRONG_PREDICATE',
      '"x"',
    ],
    [
      'a statement of an earlier form',
      [bundleFor({ ...statement, _type: 'https://in-toto.io/Statement/v0.1' }, old)],
      'SIGNATURE_FORM',
      'no Statement/v1',
    ],
    [
      'something else that is signed',
      [bundleFor({ hello: 1 }, old)],
      'SIGNATURE_FORM',
      'no in-toto statement',
    ],
    [
      'a statement under another type',
      [bundleFor(statement, old, 'text/plain')],
      'SIGNATURE_FORM',
      'no in-toto statement',
    ],
    ['no JSON', [Buffer.from('no')], 'SIGNATURE_INVALID', 'no bundle'],
    ['JSON that is no bundle', [Buffer.from('{"mediaType":"x"}')], 'SIGNATURE_INVALID', 'no bundle'],
    [
      'an earlier bundle format',
      [
        changed(
          good,
          (value) => void (value.mediaType = 'application/vnd.dev.sigstore.bundle+json;version=0.2'),
        ),
      ],
      'SIGNATURE_FORM',
      'version=0.2',
    ],
  ] as const)('by %s', (_, bundles, code, text) => {
    expect(refusal(bundles)).toMatch(new RegExp(`^${code}: `));
    expect(refusal(bundles)).toContain(text);
  });

  it('where its statement was changed after it was signed', () => {
    const payload = Buffer.from(JSON.stringify({ ...statement, predicate: { more: true } })).toString(
      'base64',
    );
    const forged = changed(good, ({ dsseEnvelope }) => void (dsseEnvelope.payload = payload));
    expect(refusal([forged])).toMatch(/^SIGNATURE_INVALID: .* of the key old, and it is not/);
  });

  it('where a bit of the signature is another one', () => {
    const forged = changed(good, ({ dsseEnvelope: { signatures } }) => {
      const sig = Buffer.from(signatures[0]?.sig ?? '', 'base64');
      sig[sig.length - 1] = (sig[sig.length - 1] ?? 0) ^ 1;
      signatures[0] = { sig: sig.toString('base64') };
    });
    expect(refusal([forged])).toMatch(/^SIGNATURE_INVALID/);
  });

  it('and of several reasons the nearest is told', () => {
    const bundles = [signDigest(digest, stranger.privateKey), signDigest(other, old.privateKey)];
    expect(refusal(bundles)).toMatch(/^SIGNATURE_WRONG_SUBJECT: .*\(nor are 1 others\)/);
  });

  it('by a key that was taken out of the list, while the one beside it goes on', () => {
    expect(refusal([good], requires({ next }))).toMatch(/^SIGNATURE_UNTRUSTED/);
    expect(refusal([good, signDigest(digest, next.privateKey)], requires({ next }))).toBe('signed by next');
  });

  it('by text in a bundle that would move a cursor: it is quoted', () => {
    const evil = bundleFor({ ...statement, predicateType: '\u001b[2Jx' }, old);
    expect(refusal([evil])).not.toContain('\u001b');
  });
});
