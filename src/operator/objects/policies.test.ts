import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { aPolicy } from '../../plan/manifests.fixture.ts';
import { FakeObjects } from '../plans/fake-objects.ts';
import { Policies } from './policies.ts';

const world = () => {
  const objects = new FakeObjects();
  const policies = new Policies(objects.policies, 'ops');
  const baseOf = (namespace: string): string => {
    const binding = policies.of(namespace);
    return binding.kind === 'Policy' ? binding.policy.spec.base : binding.kind;
  };
  return { objects, policies, baseOf };
};

describe('the policies in force', () => {
  it('are none, the one of the namespace, else the one of the operator', () => {
    const { objects, baseOf } = world();
    expect(baseOf('team-a')).toBe('None');
    objects.policies.put(aPolicy('ops', { base: 'Deny' }));
    expect([baseOf('ops'), baseOf('team-a')]).toEqual(['Deny', 'Deny']);
    objects.policies.put(aPolicy('team-a', { base: 'Allow' }));
    expect([baseOf('team-a'), baseOf('team-b')]).toEqual(['Allow', 'Deny']);
    objects.policies.delete(objectKey('ops', 'default'));
    expect([baseOf('team-a'), baseOf('team-b')]).toEqual(['Allow', 'None']);
  });

  it('stay as they were last valid', () => {
    const { objects, baseOf } = world();
    objects.policies.put(aPolicy('team-a', { base: 'Deny' }));
    objects.policies.put(aPolicy('team-a', { base: 'Allow' }), false);
    expect(baseOf('team-a')).toBe('Deny');
    // Another object of that name has no valid version.
    objects.policies.put(aPolicy('team-a', {}, { uid: 'another' }), false);
    expect(baseOf('team-a')).toBe('Unknown');
    objects.policies.put(aPolicy('team-a', {}, { uid: 'another' }));
    expect(baseOf('team-a')).toBe('Allow');
  });

  it('are unknown where none was ever seen valid, which is not none', () => {
    const { objects, policies, baseOf } = world();
    objects.policies.put(aPolicy('ops', { base: 'Deny' }));
    objects.policies.put(aPolicy('team-a'), false);
    expect(baseOf('team-a')).toBe('Unknown');
    expect(policies.policyOf('team-a')).toBeUndefined();
    expect(new Policies(objects.policies, 'ops').of('team-a')).toEqual({
      kind: 'Unknown',
      key: 'team-a/default',
    });
  });

  it('tell whom a change concerns, once it is in force', () => {
    const { objects, policies, baseOf } = world();
    const told: string[] = [];
    const concerns = (is: (namespace: string) => boolean) => ['ops', 'team-a', 'team-b'].filter(is).join();
    policies.onChange((isBound) => told.push(`${concerns(isBound)} ${baseOf('team-b')}`));
    objects.policies.put(aPolicy('team-a', { base: 'Allow' }));
    objects.policies.put(aPolicy('ops', { base: 'Deny' }));
    objects.policies.put(aPolicy('team-b', {}, { name: 'other' }));
    policies.close();
    objects.policies.put(aPolicy('team-a', { base: 'Deny' }));
    expect(told).toEqual(['team-a None', 'ops,team-b Deny']);
  });
});
