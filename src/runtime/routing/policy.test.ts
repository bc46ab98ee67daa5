import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../api/names.ts';
import { policySpecSchema } from '../../api/policy.ts';
import type { PolicyResource, Resource } from '../../plan/resources.ts';
import type { Candidate, ServingFacts } from './decision.ts';
import { adapter, context, everythingResident, planOf, routeOf, rule, split } from './plan.fixture.ts';
import { route } from './route.ts';
import { buildTable, policyOf } from './table.ts';

const policy = (
  namespace: string,
  spec: Parameters<typeof policySpecSchema.parse>[0],
  isDefault = false,
): PolicyResource => ({
  type: 'Policy',
  name: `${namespace}/default` as ObjectKey,
  body: { uid: `uid-${namespace}`, isDefault, ...policySpecSchema.parse(spec) },
});
const tableOf = (...resources: readonly Resource[]) => buildTable(planOf(...resources), { name: 'tiny' });
const decide = (
  resources: readonly Resource[],
  model: string,
  who: Parameters<typeof context>[1] = {},
  facts: ServingFacts = everythingResident,
): readonly Candidate[] => route(tableOf(...resources), context(model, who), facts, 'r1').candidates;

const denied = policy('team-a', { base: 'Deny' });
const refusal = {
  kind: 'unavailable',
  code: 'BASE_NOT_ALLOWED',
  reason:
    'the policy team-a/default does not let the base model tiny answer for the namespace team-a (spec.base: Deny)',
};

describe('the policy that holds for a namespace', () => {
  it('is its own, else the default one, else none', () => {
    const table = tableOf(denied, policy('ops', { base: 'Allow' }, true));
    expect(policyOf(table, 'team-a')?.base).toBe('Deny');
    expect(policyOf(table, 'team-b')).toMatchObject({ base: 'Allow', isDefault: true });
    expect(policyOf(tableOf(denied), 'team-b')).toBeUndefined();
  });
});

describe('the base model, where the policy does not let it answer', () => {
  it.each(['tiny', 'base:tiny'])('does not for the name %s', (model) => {
    expect(decide([denied], model)).toMatchObject([refusal]);
    expect(decide([denied], model, { namespace: 'team-b' })).toMatchObject([{ kind: 'base' }]);
  });

  it('does not for namespaces without a policy, by the default one', () => {
    const general = policy('ops', { base: 'Deny' }, true);
    expect(decide([general], 'tiny', { namespace: 'team-b' })).toMatchObject([{ code: 'BASE_NOT_ALLOWED' }]);
    expect(decide([general, policy('team-b', {})], 'tiny', { namespace: 'team-b' })).toMatchObject([
      { kind: 'base' },
    ]);
  });

  it('is neither a target nor a fallback of a route', () => {
    const rules = [rule({ name: 'r', targets: [{ adapter: 'v1' }], fallback: [{ base: true }] })];
    const withFallback = routeOf('team-a/r', 'm', rules);
    expect(decide([denied, adapter('team-a/v1'), withFallback], 'm')).toMatchObject([
      { kind: 'adapter', key: 'team-a/v1' },
      { ...refusal, rule: 'r' },
    ]);
    const target = routeOf('team-a/r', 'm', [rule({ name: 'r', targets: [{ base: true }] })]);
    expect(decide([denied, target], 'm')).toMatchObject([{ ...refusal, rule: 'r' }]);
  });

  it('is bound by the namespace of the route, not by that of the caller', () => {
    const target = routeOf('team-a/r', 'm', [rule({ name: 'r', targets: [{ base: true }] })]);
    expect(decide([denied, target], 'team-a/m', { namespace: 'team-b' })).toMatchObject([refusal]);
    const own = policy('team-b', { base: 'Deny' });
    expect(decide([own, target], 'team-a/m', { namespace: 'team-b' })).toMatchObject([{ kind: 'base' }]);
  });

  it('does not answer for a rollout whose versions cannot, although it asks for that', () => {
    const failing: ServingFacts = {
      ...everythingResident,
      troubleOf: () => ({ reason: 'SMOKE_TEST_FAILED: no', isFinal: true }),
    };
    const asks = split('team-a/sql', { fallbackToBase: true });
    expect(decide([asks], 'sql', {}, failing)).toMatchObject([{ kind: 'base', rollout: 'sql' }]);
    const [candidate] = decide([denied, asks], 'sql', {}, failing);
    expect(candidate).toMatchObject({ kind: 'unavailable', code: 'NO_VERSION_SERVES' });
    expect(candidate).toMatchObject({ reason: expect.stringContaining(refusal.reason) });
  });
});

describe('the adapters of users', () => {
  const perUser = (image: string) =>
    routeOf('team-a/r', 'm', [
      rule({
        name: 'r',
        perUser: { baseModel: 'tiny', source: { oci: { image } } },
        fallback: [{ adapter: 'v1' }],
      }),
    ]);
  const allowed = policy('team-a', { sources: { registries: ['registry.example/team-a'] } });

  it('come only from where the policy allows, by what of their template is the same for all', () => {
    const user = { user: 'alice' };
    const own = perUser('registry.example/team-a/users/{user}:v1');
    expect(decide([allowed, own, adapter('team-a/v1')], 'm', user)[0]).toMatchObject({ kind: 'perUser' });
    const foreign = perUser('registry.example/team-b/users/{user}:v1');
    expect(decide([allowed, foreign, adapter('team-a/v1')], 'm', user)).toMatchObject([
      { kind: 'unavailable', code: 'SOURCE_NOT_ALLOWED', reason: expect.stringContaining('team-a/default') },
      { kind: 'adapter', key: 'team-a/v1' },
    ]);
  });
});
