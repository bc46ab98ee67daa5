import { describe, expect, it } from 'vitest';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { compilePlan } from '../../plan/compile.ts';
import { anAdapter, aPolicy } from '../../plan/manifests.fixture.ts';
import { aKeyPair, signersOf } from '../../signature/signatures.fixture.ts';
import { policiesIn, signatureOf } from './table.ts';

const [policyKey, ownKey] = [signersOf({ release: aKeyPair() }), signersOf({ author: aKeyPair() })];
const policy = aPolicy('team-a', { signatures: policyKey });
const table = policiesIn(
  compilePlan({ manifests: [policy, anAdapter({ name: 'sql' })], runtime: { baseModel: 'tiny', labels: {} } })
    .plan,
);
const whereOf = (namespace: string, body: Parameters<typeof signatureOf>[2]) =>
  signatureOf(table, namespace, body)?.demands.map(({ where }) => where);

describe('what an adapter has to be signed by', () => {
  it('is what its policy and it itself ask for', () => {
    expect(whereOf('team-a', { signed: true })).toEqual(['the policy team-a/default']);
    expect(whereOf('team-a', { signed: true, signatures: ownKey })).toEqual([
      'the policy team-a/default',
      'its spec.signatures',
    ]);
    expect(whereOf('team-b', { signatures: ownKey })).toEqual(['its spec.signatures']);
    expect(whereOf('team-b', {})).toBeUndefined();
  });

  it('holds for an adapter of one user, of which no plan says anything', () => {
    expect(whereOf('team-a', {})).toEqual(['the policy team-a/default']);
  });

  it('is an error where the policy that says it did not come', async () => {
    expect(await codeOf(() => signatureOf(table, 'team-b', { signed: true }))).toBe('SIGNATURE_UNTRUSTED');
  });
});
