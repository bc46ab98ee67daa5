import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { AdapterSpec } from '../../api/adapter.ts';
import { fakeDigest } from '../../api/names.fixture.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { aPolicy } from '../../plan/manifests.fixture.ts';
import { aKeyPair, signersOf } from '../../signature/signatures.fixture.ts';
import { AdapterWorld, digest, v1 } from './world.fixture.ts';

const [old, next] = [aKeyPair(), aKeyPair()];
const source = { oci: { image: 'registry.example/team-a/sql:v1' } };

const asking = (
  keys: Parameters<typeof signersOf>[0],
  required = true,
  spec: Partial<AdapterSpec> = {},
): AdapterWorld => {
  const world = new AdapterWorld().join('edge-1').adapter({ source, digest, ...spec });
  world.cluster.apply(aPolicy('team-a', { signatures: { required, ...signersOf(keys) } }));
  return world;
};
const answer = async (world: AdapterWorld, error?: AdaptletError) => {
  const question = world.signatureQuestions.at(-1);
  if (error === undefined) question?.answer.resolve({ signers: ['old'] });
  else question?.answer.reject(error);
  await setImmediate();
  await world.settle();
};
const missing = new AdaptletError('SIGNATURE_MISSING', 'there is none');

describe('the condition SignatureVerified', () => {
  it('is not there where nobody has to have signed', async () => {
    const world = new AdapterWorld().join('edge-1').adapter({ source, digest });
    await world.settle();
    expect(world.status.conditions.map(({ type }) => type)).not.toContain('SignatureVerified');
    expect(world.signatureQuestions).toEqual([]);
  });

  it('is unknown while the registry is asked, and true with who has signed', async () => {
    const world = asking({ old });
    await world.settle();
    expect(world.condition('SignatureVerified')).toBe('Unknown Verifying: its signatures are being verified');
    expect(world.signatureQuestions.map(({ question }) => [question.image, question.digest])).toEqual([
      [source.oci.image, digest],
    ]);
    await answer(world);
    expect(world.condition('SignatureVerified')).toBe('True SignatureVerified: signed by old');
    expect(world.condition('Ready')).toContain('True OnDemand');
  });

  it.each([
    ['SIGNATURE_MISSING', 'SignatureMissing'],
    ['SIGNATURE_INVALID', 'SignatureInvalid'],
    ['SIGNATURE_UNTRUSTED', 'SignatureUntrusted'],
    ['SIGNATURE_EXPIRED', 'SignatureExpired'],
    ['SIGNATURE_WRONG_SUBJECT', 'SignatureWrongSubject'],
    ['SIGNATURE_WRONG_PREDICATE', 'SignatureWrongPredicate'],
    ['SIGNATURE_FORM', 'SignatureForm'],
    ['SIGNATURE_TOO_MANY', 'SignatureTooMany'],
  ] as const)(
    'is false for %s by a reason of its own, as is Ready, and an event says so',
    async (code, reason) => {
      const world = asking({ old });
      await world.settle();
      const error = new AdaptletError(code, 'it is not');
      await answer(world, error);
      const why = `False ${reason}: ${code}: it is not. ${error.advice}`;
      expect(world.condition('SignatureVerified')).toBe(why);
      expect(world.condition('Ready')).toBe(why);
      expect(world.reasons).toContain(reason);
    },
  );

  it('is unknown while its registry is away, and asked for again', async () => {
    const world = asking({ old });
    await world.settle();
    await answer(world, new AdaptletError('REGISTRY_UNAVAILABLE', 'no answer'));
    expect(world.condition('SignatureVerified')).toContain('Unknown NotVerified: REGISTRY_UNAVAILABLE');
    world.clock.advance(60_000);
    await setImmediate();
    expect(world.signatureQuestions).toHaveLength(2);
  });

  it('is asked for again where there was no signature, without blame for the registry', async () => {
    const world = asking({ old });
    await world.settle();
    await answer(world, missing);
    world.clock.advance(5_000);
    expect(world.signatureQuestions).toHaveLength(2);
    await answer(world);
    expect(world.condition('SignatureVerified')).toContain('True');
  });

  it('is told and does not count where the policy only watches', async () => {
    const world = asking({ old }, false);
    await world.settle();
    await answer(world, missing);
    expect(world.condition('SignatureVerified')).toContain('False SignatureMissing');
    expect(world.condition('Ready')).toContain('True OnDemand');
  });

  it('counts where the Adapter itself asks, whatever its policy does', async () => {
    const world = asking({ old }, false, { signatures: signersOf({ next }) });
    await world.settle();
    expect(world.signatureQuestions[0]?.question.requirement.demands.map(({ where }) => where)).toEqual([
      'its spec.signatures',
    ]);
    await answer(world, missing);
    expect(world.condition('Ready')).toContain('False SignatureMissing');
  });

  it('is asked for anew when the keys of the policy change, and stays as it was meanwhile', async () => {
    const world = asking({ old });
    await world.settle();
    await answer(world);
    world.cluster.apply(aPolicy('team-a', { signatures: { required: true, ...signersOf({ next }) } }));
    await world.settle();
    expect(world.signatureQuestions).toHaveLength(2);
    expect(world.condition('SignatureVerified')).toContain('True');
    await answer(world, new AdaptletError('SIGNATURE_UNTRUSTED', 'another key'));
    expect(world.condition('SignatureVerified')).toContain('False SignatureUntrusted');
  });

  it('is asked for of the digest that plans have, whatever the status says', async () => {
    const world = asking({ old });
    await world.settle();
    const object = world.cluster.adapters.server.get(v1)?.object;
    if (object === undefined) throw new Error('there is no Adapter');
    world.cluster.apply({ ...object, status: { ...world.status, digest: fakeDigest('2') } });
    await world.settle();
    expect(world.signatureQuestions.map(({ question }) => question.digest)).toEqual([digest]);
  });

  it('stays false, as does Ready, until another leader has asked', async () => {
    const world = asking({ old });
    await world.settle();
    await answer(world, missing);
    const before = world.condition('Ready');
    expect(before).toContain('False SignatureMissing');
    world.takeOver();
    await world.settle();
    expect(world.signatureQuestions).toHaveLength(2);
    expect(world.condition('SignatureVerified')).toContain('False SignatureMissing');
    expect(world.condition('Ready')).toBe(before);
  });

  it('of a folder says that there are no signatures of those', async () => {
    const world = asking({ old }, true, { source: { path: { path: 'sql' } } });
    await world.settle();
    expect(world.condition('SignatureVerified')).toContain('False SignatureMissing');
    expect(world.signatureQuestions).toEqual([]);
  });
});
