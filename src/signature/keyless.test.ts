import { beforeAll, describe, expect, it } from 'vitest';
import { fakeDigest } from '../api/names.fixture.ts';
import { type Signers, signersSchema } from '../api/signatures.ts';
import { codeOf } from '../errors/code-of.fixture.ts';
import { issuer, soon, startKeyless, subject } from './keyless.fixture.ts';
import { verifySignatures } from './verify.ts';

const digest = fakeDigest('a');
const hour = 3_600_000;

const start = async () => {
  const { trustRoot, bundle } = await startKeyless();
  return {
    trustRoot,
    bundle: (who: string, at?: Date, by?: string): Promise<Uint8Array> => bundle(digest, who, at, by),
  };
};

let world: Awaited<ReturnType<typeof start>>;
beforeAll(async () => {
  world = await start();
});

const signers = (trustRoot: string, who = subject, by = issuer): Signers =>
  signersSchema.parse({ trustRoot, identities: [{ name: 'ci', issuer: by, subject: who }] });
const verdict = async (bundle: Uint8Array, asked = signers(world.trustRoot)): Promise<string> => {
  const requirement = { version: '', demands: [{ where: 'a test', signers: asked }] };
  return await codeOf(() => verifySignatures([bundle], digest, requirement));
};

describe('an identity of a pinned trust root', () => {
  it('has signed, without anybody being asked', async () => {
    expect(await verdict(await world.bundle(subject))).toBe('none');
  });

  it('is compared as a whole: neither as the beginning of another, nor as a regular expression', async () => {
    expect(await verdict(await world.bundle(`${subject}-evil`))).toBe('SIGNATURE_UNTRUSTED');
    expect(await verdict(await world.bundle(`https://evil.example/?${subject}`))).toBe('SIGNATURE_UNTRUSTED');
    expect(await verdict(await world.bundle(subject), signers(world.trustRoot, 'https://.*'))).toBe(
      'SIGNATURE_UNTRUSTED',
    );
  });

  it('is none where another issuer says who it is', async () => {
    const other = await world.bundle(subject, soon(0), 'https://evil.example');
    expect(await verdict(other)).toBe('SIGNATURE_UNTRUSTED');
  });

  it('is none of another trust root', async () => {
    const other = await start();
    expect(await verdict(await other.bundle(subject))).not.toBe('none');
    expect(await verdict(await world.bundle(subject), signers(other.trustRoot))).not.toBe('none');
  });

  it('is expired where its certificate was over, or not yet valid, when it was used', async () => {
    expect(await verdict(await world.bundle(subject, soon(24 * hour)))).toBe('SIGNATURE_EXPIRED');
    expect(await verdict(await world.bundle(subject, soon(-24 * hour)))).toBe('SIGNATURE_EXPIRED');
  });

  it('is expired where nothing proves when its certificate was used', async () => {
    const { bundle } = world;
    const untimed = JSON.parse(Buffer.from(await bundle(subject)).toString()) as {
      verificationMaterial: { timestampVerificationData?: unknown };
    };
    delete untimed.verificationMaterial.timestampVerificationData;
    expect(await verdict(Buffer.from(JSON.stringify(untimed)))).toBe('SIGNATURE_EXPIRED');
  });

  it('is none where a trust root cannot be read, and keys beside it go on', async () => {
    const broken = signers('{"certificateAuthorities": 7}');
    expect(await verdict(await world.bundle(subject), broken)).toBe('SIGNATURE_UNTRUSTED');
  });
});
