import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import type { Manifest } from '../../api/objects.ts';
import { compilePlan } from '../../plan/compile.ts';
import { anAdapter, aPolicy, aRollout, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { enforcedFields } from '../../plan/policy-fields.ts';
import { aKeyPair, signersOf } from '../../signature/signatures.fixture.ts';
import { type ForEarlierInput, planForEarlier } from './for-earlier.ts';

const signatures = { required: true, ...signersOf({ release: aKeyPair() }) };
const adapter = (namespace: string) =>
  anAdapter({ name: 'v1', namespace }, { digest: fakeDigest('1'), preload: { tier: 'Disk' } });
const rollout = aRollout({ name: 'sql' }, { adapter: 'v1' }, aStatus({ stable: bound('v1') }));
const team = [adapter('team-a'), rollout];

const planned = (manifests: readonly Manifest[], input: Partial<ForEarlierInput> = {}) => {
  const { plan } = compilePlan({ manifests, runtime: { baseModel: 'tiny', labels: {} } });
  const all = { plan, withheld: new Set<string>(), known: new Set<string>(), reported: [], ...input };
  const sent = planForEarlier(all);
  return { ...sent, before: plan, keys: [...sent.plan.keys()] };
};

describe('the plan of a runtime of an earlier version', () => {
  it('is the plan of all others where nothing in it is new to it', () => {
    const one = planned([...team, aPolicy('team-a', { base: 'Deny' })]);
    expect(one.plan).toBe(one.before);
    expect(one.notEnforced.size).toBe(0);
    const known = new Set(enforcedFields);
    const two = planned([...team, aPolicy('team-a', { signatures })], { known });
    expect(two.plan).toBe(two.before);
  });

  it('has policies without what it does not know, so that the rest of them reaches it', () => {
    const sources = { paths: ['a'], urls: ['https://files.example'], huggingFace: ['team-a'] };
    const { plan, keys, notEnforced } = planned([...team, aPolicy('team-a', { base: 'Deny', sources })]);
    const body = plan.get('Policy team-a/default')?.body;
    expect(body).toMatchObject({ base: 'Deny', sources: { paths: ['a'] } });
    expect(body).not.toHaveProperty('sources.urls');
    expect(body).not.toHaveProperty('sources.huggingFace');
    expect(keys).toContain('Split team-a/sql');
    expect(notEnforced.size).toBe(0);
  });

  it('has no adapter that a field which it does not know might forbid, and says so', () => {
    const others = [adapter('team-b'), aPolicy('team-b')];
    const sent = planned([...team, ...others, aPolicy('team-a', { base: 'Deny', signatures })]);
    expect(sent.keys).toEqual([
      'AdapterSpec team-b/v1',
      'Policy team-a/default',
      'Policy team-b/default',
      'Split team-a/sql',
    ]);
    expect(sent.plan.get('Policy team-a/default')?.body).not.toHaveProperty('signatures');
    expect(sent.plan.get('Split team-a/sql')?.body).not.toHaveProperty('stable');
    expect(sent.plan.get('Split team-a/sql')?.body).toMatchObject({
      message: expect.stringContaining('upgrade it'),
    });
    expect([...sent.notEnforced]).toEqual([
      ['Policy team-a/default', expect.stringMatching(/does not know spec\.signatures/)],
    ]);
  });

  it('has none of namespaces that the default policy holds for, but for those with a policy of their own', () => {
    const own = [adapter('team-b'), aPolicy('team-b')];
    const sent = planned([...team, ...own, aPolicy('adaptlet-system', { signatures })]);
    expect(sent.keys.filter((key) => key.startsWith('Adapter'))).toEqual(['AdapterSpec team-b/v1']);
  });

  it('takes them from a runtime that is held, and from one whose objects are not valid now', () => {
    const gone = ['AdapterSpec team-a/v1', 'AdapterSpec team-a/former'];
    const reported = [objectKey('team-a', 'former'), objectKey('team-b', 'v1')];
    const sent = planned([...team, aPolicy('team-a', { signatures })], {
      withheld: new Set(['AdapterSpec team-a/v1', 'Route team-b/x']),
      only: new Set(['Policy team-a/default']),
      reported,
    });
    expect([...sent.withheld]).toEqual(['Route team-b/x']);
    expect([...(sent.only ?? [])].sort()).toEqual(
      ['Policy team-a/default', 'Split team-a/sql', ...gone].sort(),
    );
  });

  it('takes one whose object is not valid now also before the runtime has reported', () => {
    const withheld = new Set(['AdapterSpec team-a/v1', 'AdapterSpec team-b/v1', 'Split team-a/other']);
    const sent = planned([rollout, aPolicy('team-a', { signatures })], { withheld, reported: [] });
    expect([...sent.withheld]).toEqual(['AdapterSpec team-b/v1', 'Split team-a/other']);
  });
});
