import { describe, expect, it } from 'vitest';
import type { Manifest } from '../api/objects.ts';
import { compilePlan } from './compile.ts';
import { anAdapter, aPolicy, aRollout, aRoute, aStatus, bound } from './manifests.fixture.ts';

const compile = (manifests: readonly Manifest[], policyNamespace?: string) =>
  compilePlan({ manifests, runtime: { baseModel: 'tiny', labels: {} }, policyNamespace });
const keysOf = (manifests: readonly Manifest[], policyNamespace?: string) => [
  ...compile(manifests, policyNamespace).plan.keys(),
];
const from = (name: string, path: string, at = 0, namespace = 'team-a') =>
  anAdapter({ name, namespace, at }, { source: { path: { path } } });
const onlyOwn = { sources: { paths: ['team-a'] } };

describe('the policy of a namespace', () => {
  it('is in the plan with its spec, and says whether it is the one of all others', () => {
    const { plan } = compile([aPolicy('team-a', { base: 'Deny' }), aPolicy('ops')], 'ops');
    expect(plan.get('Policy team-a/default')?.body).toMatchObject({ base: 'Deny', isDefault: false });
    expect(plan.get('Policy ops/default')?.body).toMatchObject({ base: 'Allow', isDefault: true });
  });

  it('keeps Adapters of other sources out of the plan, and says which policy and what is allowed', () => {
    const manifests = [aPolicy('team-a', onlyOwn), from('mine', 'team-a/x'), from('theirs', 'team-b/x')];
    expect(keysOf(manifests)).toEqual(['AdapterSpec team-a/mine', 'Policy team-a/default']);
    expect(compile(manifests).problems).toEqual([
      {
        kind: 'Adapter',
        key: 'team-a/theirs',
        code: 'SourceNotAllowed',
        reason:
          'SOURCE_NOT_ALLOWED: spec.source: the path team-b/x is not below what the policy team-a/default allows in spec.sources.paths: team-a',
      },
    ]);
  });

  it('binds its own namespace, and the one of the operator those that have none', () => {
    const others = [from('a', 'x', 0, 'team-a'), from('b', 'x', 0, 'team-b')];
    expect(keysOf([aPolicy('team-a', { sources: { paths: [] } }), ...others])).toEqual([
      'AdapterSpec team-b/b',
      'Policy team-a/default',
    ]);
    expect(keysOf([aPolicy('ops', { sources: { paths: [] } }), aPolicy('team-a'), ...others], 'ops')).toEqual(
      ['AdapterSpec team-a/a', 'Policy ops/default', 'Policy team-a/default'],
    );
    // Nobody made that namespace the one of the operator.
    expect(keysOf([aPolicy('ops', { sources: { paths: [] } }), ...others])).toHaveLength(3);
  });

  it('lets the oldest Adapters count, and not those that are refused anyway', () => {
    const limited = aPolicy('team-a', { ...onlyOwn, limits: { adapters: 2 } });
    const all = [
      from('young', 'team-a/x', 9),
      from('foreign', 'team-b/x', 1),
      from('old', 'team-a/x', 2),
      from('middle', 'team-a/x', 5),
    ];
    expect(keysOf([limited, ...all])).toEqual([
      'AdapterSpec team-a/middle',
      'AdapterSpec team-a/old',
      'Policy team-a/default',
    ]);
    expect(compile([limited, ...all]).problems).toContainEqual({
      kind: 'Adapter',
      key: 'team-a/young',
      code: 'TooManyAdapters',
      reason:
        'ADAPTERS_LIMIT: by age it is number 3 of its namespace, and the policy team-a/default lets the oldest 2 count',
    });
    expect(keysOf([limited, ...all.filter(({ metadata }) => metadata.name !== 'old')])).toContain(
      'AdapterSpec team-a/young',
    );
    expect(keysOf([aPolicy('team-a', { limits: { adapters: 0 } }), ...all])).toEqual([
      'Policy team-a/default',
    ]);
  });

  it('takes nobody else the name that it has itself, and leaves a refused Adapter its name', () => {
    const named = aRollout({ name: 'default' }, { adapter: 'x' }, aStatus());
    expect(compile([aPolicy('team-a'), named]).problems).toEqual([]);
    const younger = aRoute({ name: 'r', at: 9 }, { model: 'theirs' });
    expect(keysOf([aPolicy('team-a', onlyOwn), from('theirs', 'team-b/x'), younger])).toEqual([
      'Policy team-a/default',
    ]);
  });

  it('takes an Adapter out of the plan that a rollout serves', () => {
    const rollout = aRollout({ name: 'sql' }, { adapter: 'v1' }, aStatus({ stable: bound('v1') }));
    const manifests = [from('v1', 'team-b/x'), rollout];
    expect(keysOf(manifests)).toContain('AdapterSpec team-a/v1');
    expect(keysOf([aPolicy('team-a', onlyOwn), ...manifests])).toEqual([
      'Policy team-a/default',
      'Split team-a/sql',
    ]);
  });
});
