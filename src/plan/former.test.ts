import { describe, expect, it } from 'vitest';
import type { Condition } from '../api/condition.ts';
import { fakeDigest } from '../api/names.fixture.ts';
import type { AdapterObject } from '../api/objects.ts';
import { aKeyPair, signersOf } from '../signature/signatures.fixture.ts';
import { compilePlan } from './compile.ts';
import { anAdapter, aPolicy, aRollout, aStatus, bound } from './manifests.fixture.ts';

const digest = fakeDigest('1');
const adapter = (name: string, path = name) => anAdapter({ name }, { digest, source: { path: { path } } });
const unsigned = (name: string): AdapterObject => {
  const object = adapter(name);
  const condition: Condition = {
    type: 'SignatureVerified',
    status: 'False',
    reason: 'SignatureMissing',
    message: 'SIGNATURE_MISSING: nobody signed it',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  };
  return {
    ...object,
    status: { ...object.status, conditions: [condition] } as NonNullable<AdapterObject['status']>,
  };
};
const signatures = (required: boolean) => ({
  signatures: { required, ...signersOf({ release: aKeyPair() }) },
});

const former = (
  adapters: readonly AdapterObject[],
  policy = aPolicy('team-a'),
  status: Parameters<typeof aStatus>[0] = {},
) => {
  const history = [bound('v2'), bound('v1')];
  const rollout = aRollout(
    { name: 'sql' },
    { adapter: 'v3' },
    aStatus({ stable: bound('v3'), history, ...status }),
  );
  const runtime = { baseModel: 'tiny', labels: {} };
  const { plan } = compilePlan({ manifests: [...adapters, rollout, policy], runtime });
  const body = plan.get('Split team-a/sql')?.body;
  return body !== undefined && 'hashOn' in body && 'guard' in body ? body.former?.adapter : 'no Split';
};
const [v1, v2, v3] = [adapter('v1'), adapter('v2'), adapter('v3')];

describe('the version that a node goes back to by hand', () => {
  it('is the one before stable', () => {
    expect(former([v1, v2, v3])).toBe('v2');
    expect(former([v1, v2, v3], undefined, { completionStatus: 'FastRolledBack' })).toBe('v1');
    expect(former([v1, v2, v3], undefined, { history: [] })).toBeUndefined();
  });

  it('is none that is known not to be signed as it has to be', () => {
    expect(former([v1, unsigned('v2'), v3], aPolicy('team-a', signatures(true)))).toBe('v1');
    expect(former([v1, unsigned('v2'), v3], aPolicy('team-a', signatures(false)))).toBe('v2');
    expect(former([v1, unsigned('v2'), v3])).toBe('v2');
    expect(former([unsigned('v1'), unsigned('v2'), v3], aPolicy('team-a', signatures(true)))).toBeUndefined();
  });

  it('is none that its policy keeps out, or whose name another object has', () => {
    const elsewhere = adapter('v2', 'elsewhere/v2');
    const policy = aPolicy('team-a', { sources: { paths: ['v1', 'v3'] } });
    expect(former([v1, elsewhere, v3], policy)).toBe('v1');
    const another = { ...v2, metadata: { ...v2.metadata, uid: 'another' } };
    expect(former([v1, another, v3])).toBe('v1');
  });

  it('may be one of which nothing is known, where there is no better one', () => {
    expect(former([v3])).toBe('v2');
  });
});
