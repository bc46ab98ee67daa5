import { createPrivateKey, createPublicKey } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { applyDelta } from '../../../../src/artifact/delta/apply.ts';
import { preludeBytes } from '../../../../src/artifact/delta/format.ts';
import { makeDelta } from '../../../../src/artifact/delta/make.ts';
import { noise, trainedFrom, weightsOf } from '../../../../src/artifact/delta/weights.fixture.ts';
import { digestOf } from '../../../../src/artifact/digest.ts';
import { requirementOf } from '../../../../src/signature/requirement.ts';
import { signDigest } from '../../../../src/signature/sign.ts';
import { statementFor } from '../../../../src/signature/statement.ts';
import { bundleType, verifySignatures } from '../../../../src/signature/verify.ts';
import { codesOf, jsonTexts } from '../examples.ts';
import { words } from '../mutators/bytes.ts';
import type { Mutator } from '../mutators/choices.ts';
import { json } from '../mutators/json.ts';
import { scratch } from '../scratch.ts';
import { must, type Target } from '../target.ts';

const from = weightsOf(1, 4096);
const to = trainedFrom(from, 2);
const others = [Buffer.from(noise(5000, 3)), Buffer.concat([to, Buffer.from('more')])];
const identityOf = (bytes: Uint8Array) => ({ digest: digestOf(bytes), size: bytes.length });

const folder = (): string => {
  const path = join(scratch(), 'delta');
  mkdirSync(path, { recursive: true });
  return path;
};

const deltaTo = (target: Uint8Array): Uint8Array => {
  const at = (name: string): string => join(folder(), name);
  writeFileSync(at('from'), from);
  writeFileSync(at('made'), target);
  makeDelta({
    from: { ...identityOf(from), path: at('from') },
    to: { ...identityOf(target), path: at('made') },
    target: at('example'),
  });
  return readFileSync(at('example'));
};

/** Changes the header of a delta, and says its new length. */
const deltaHeader: Mutator = (bytes, choices, other) => {
  const whole = Buffer.from(bytes);
  if (whole.length < preludeBytes) return bytes;
  const end = preludeBytes + whole.readUInt32LE(preludeBytes - 4);
  const header = json(whole.subarray(preludeBytes, end), choices, other);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  return Buffer.concat([whole.subarray(0, preludeBytes - 4), length, header, whole.subarray(end)]);
};

const delta: Target = {
  name: 'delta',
  reads: 'src/artifact/delta',
  examples: () => [deltaTo(to), ...others.map(deltaTo)],
  mutators: [deltaHeader],
  codes: ['DELTA_INVALID'],
  run: (bytes) => {
    const at = (name: string): string => join(folder(), name);
    writeFileSync(at('delta'), bytes);
    writeFileSync(at('base'), from);
    applyDelta({
      delta: at('delta'),
      base: at('base'),
      target: at('target'),
      from: identityOf(from),
      to: identityOf(to),
    });
    must(readFileSync(at('target')).equals(to), 'another file was made');
    return '';
  },
};

/** Ed25519 of a seed that is no secret: its signatures are the same in each run. */
const pairOf = (seed: number) => {
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, seed)]);
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  return { privateKey, publicKey: createPublicKey(privateKey) };
};
const trusted = pairOf(1);
const digest = digestOf(Buffer.from('a manifest'));
const another = digestOf(Buffer.from('another manifest'));

const requirement = requirementOf(
  {
    name: 'team-a/default',
    signatures: {
      required: true,
      keys: [
        { name: 'release', publicKey: String(trusted.publicKey.export({ type: 'spki', format: 'pem' })) },
      ],
      identities: [],
    },
  },
  undefined,
);

const envelope = z.object({ dsseEnvelope: z.object({ payload: z.string() }) });

const signature: Target = {
  name: 'signature',
  reads: 'src/signature/verify.ts, statement.ts',
  examples: () => [
    signDigest(digest, trusted.privateKey),
    signDigest(another, trusted.privateKey),
    signDigest(digest, pairOf(2).privateKey),
    ...jsonTexts({ mediaType: bundleType }),
  ],
  mutators: [
    json,
    words([digest.slice('sha256:'.length), 'dsseEnvelope', 'messageSignature', 'payloadType']),
  ],
  codes: codesOf('SIGNATURE_'),
  run: (bytes) => {
    if (requirement === undefined) throw new Error('nothing is asked for');
    const { signers } = verifySignatures([bytes], digest, requirement);
    must(signers.length === 1, `${signers.length} signers`);
    const { payload } = envelope.parse(JSON.parse(new TextDecoder().decode(bytes))).dsseEnvelope;
    const said = Buffer.from(payload, 'base64').toString('utf8');
    must(said === String(statementFor(digest)), 'something that was not signed is verified');
    return 'verified';
  },
};

export const trustTargets: readonly Target[] = [delta, signature];
