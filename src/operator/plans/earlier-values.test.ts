import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import type { PolicySpec } from '../../api/policy.ts';
import { compilePlan } from '../../plan/compile.ts';
import { aPolicy } from '../../plan/manifests.fixture.ts';
import { enforcedFields } from '../../plan/policy-fields.ts';
import { type KeysResource, versioned } from '../../plan/resources.ts';
import { planForEarlier } from './for-earlier.ts';

const sha256 = 'a'.repeat(64);
const granted = (rights: PolicySpec['clients']['apiKeys'][number]['rights']) => ({
  clients: {
    anonymous: 'Deny' as const,
    apiKeys: [{ name: 'app', sha256, rights }],
    issuers: [{ name: 'idp', issuer: 'i', audiences: ['a'], jwks: '{"keys":[]}', userClaim: 'sub', rights }],
    certificates: [{ name: 'gateway', commonName: 'g', rights }],
  },
});
const keysWith = (...rights: KeysResource['body']['keys'][number]['rights']) =>
  versioned<KeysResource>({
    type: 'Keys',
    name: objectKey('team-a', 'keys'),
    body: { keys: [{ name: 'secret:s', sha256, user: 'u', rights }] },
  });

const sentWith = (
  spec: Parameters<typeof aPolicy>[1],
  keys = keysWith(),
  known: ReadonlySet<string> = new Set(),
) => {
  const runtime = { baseModel: 'tiny', labels: {} };
  const { plan } = compilePlan({ manifests: [aPolicy('team-a', spec)], keys: [keys], runtime });
  return { before: plan, ...planForEarlier({ plan, withheld: new Set(), known, reported: [] }) };
};

/** A runtime refuses a policy, or the keys of a namespace, as a whole for one value that it does not know. */
describe('values of rights that an earlier version does not know', () => {
  it('are not in its policies, and all else of them is', () => {
    const { plan, notEnforced } = sentWith({ ...granted(['Priority', 'Hints']), base: 'Deny' });
    const body = plan.get('Policy team-a/default')?.body;
    expect(body).toMatchObject({ base: 'Deny', clients: granted(['Priority']).clients });
    expect(JSON.stringify(body)).not.toContain('Hints');
    expect(notEnforced.size).toBe(0);
  });

  it('are not in keys out of Secrets, so that one that is taken back goes there too', () => {
    const { plan } = sentWith({}, keysWith('Lifecycle', 'Hints'));
    expect(plan.get('Keys team-a/keys')?.body).toMatchObject({ keys: [{ rights: ['Lifecycle'] }] });
  });

  it('leave hosts of metrics at every port out of its policies', () => {
    const { plan } = sentWith({ sources: { metricHosts: ['a.svc:9090', 'b.svc:*'] } });
    expect(plan.get('Policy team-a/default')?.body).toMatchObject({
      sources: { metricHosts: ['a.svc:9090'] },
    });
  });

  it('change nothing where there are none, or where the runtime knows them', () => {
    const none = sentWith(granted(['Priority']), keysWith('Priority'));
    expect(none.plan).toBe(none.before);
    const all = sentWith(granted(['Hints']), keysWith('Hints'), new Set(enforcedFields));
    expect(all.plan).toBe(all.before);
  });
});
