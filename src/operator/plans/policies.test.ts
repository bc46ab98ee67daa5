import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestSchema, objectKey } from '../../api/names.ts';
import { anAdapter, aPolicy } from '../../plan/manifests.fixture.ts';
import { aKeyPair, signersOf } from '../../signature/signatures.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { Policies } from '../objects/policies.ts';
import { FakeObjects } from './fake-objects.ts';
import { type Following, Plans } from './plans.ts';
import { planWhenHeld } from './when-held.ts';

const digest = digestSchema.parse(`sha256:${'0'.repeat(64)}`);
let objects: FakeObjects;
let clock: FakeClock;
let plans: Plans;
const start = (): void => {
  plans = new Plans({ objects, clock, policies: new Policies(objects.policies, 'ops') });
};
beforeEach(() => {
  objects = new FakeObjects();
  clock = new FakeClock();
  start();
});
afterEach(() => plans.close());

const follow = (kind: 'Node' | 'Pod', namespace: string): Following => {
  objects.runtime(namespace, 'one');
  const key = objectKey(namespace, 'one');
  return plans.follow({ key, kind, baseModel: 'tiny' }, () => undefined);
};
const planned = (following: Following) => {
  clock.advance(50);
  const { plan, withheld } = following.plan() ?? { plan: new Map(), withheld: new Set() };
  return { keys: [...plan.keys()], withheld: [...withheld].sort() };
};
const adapter = (namespace: string) =>
  anAdapter({ name: 'sql', namespace }, { digest, source: { path: { path: 'sql' } } });
const nothing = { sources: { paths: [] } };

describe('the policies in plans', () => {
  it('reach every node; a pod has that of its namespace and the one of the operator', () => {
    for (const namespace of ['ops', 'team-a', 'team-b']) objects.policies.put(aPolicy(namespace));
    expect(planned(follow('Node', 'ops')).keys).toEqual([
      'Policy ops/default',
      'Policy team-a/default',
      'Policy team-b/default',
    ]);
    expect(planned(follow('Pod', 'team-a')).keys).toEqual(['Policy ops/default', 'Policy team-a/default']);
    expect(planned(follow('Pod', 'team-c')).keys).toEqual(['Policy ops/default']);
  });

  it('take an Adapter out at once, and give it back', () => {
    objects.adapters.put(adapter('team-a'));
    const node = follow('Node', 'ops');
    expect(planned(node).keys).toEqual(['AdapterSpec team-a/sql']);
    objects.policies.put(aPolicy('ops', nothing));
    expect(planned(node).keys).toEqual(['Policy ops/default']);
    objects.policies.put(aPolicy('team-a'));
    expect(planned(node).keys).toContain('AdapterSpec team-a/sql');
  });

  it('mark the Adapters that have to be signed, also those that were there before, and no longer than they ask', () => {
    objects.adapters.put(adapter('team-a'));
    const node = follow('Node', 'ops');
    const body = () => {
      clock.advance(50);
      return node.plan()?.plan.get('AdapterSpec team-a/sql')?.body;
    };
    expect(body()).not.toHaveProperty('signed');
    const signatures = { required: true, ...signersOf({ release: aKeyPair() }) };
    for (const namespace of ['ops', 'team-a']) {
      objects.policies.put(aPolicy(namespace, { signatures }));
      expect(body()).toHaveProperty('signed', true);
    }
    objects.policies.put(aPolicy('team-a', { signatures: { ...signatures, required: false } }));
    expect(body()).not.toHaveProperty('signed');
  });

  it('stay in force as they were last valid, for runtimes that come later as well', () => {
    objects.adapters.put(adapter('team-a'));
    objects.policies.put(aPolicy('team-a', nothing));
    objects.policies.put(aPolicy('team-a'), false);
    expect(planned(follow('Node', 'ops'))).toEqual({ keys: ['Policy team-a/default'], withheld: [] });
  });

  it('are withheld with the Adapters that they bind where nobody knows a valid version', () => {
    for (const namespace of ['team-a', 'team-b']) objects.adapters.put(adapter(namespace));
    objects.policies.put(aPolicy('team-a', nothing), false);
    expect(planned(follow('Node', 'ops')).withheld).toEqual([
      'AdapterSpec team-a/sql',
      'Policy team-a/default',
    ]);
    objects.policies.put(aPolicy('ops'), false);
    expect(planned(follow('Pod', 'team-b')).withheld).toEqual([
      'AdapterSpec team-b/sql',
      'Policy ops/default',
    ]);
  });

  it('reach a runtime that is held: what is denied is denied everywhere', () => {
    objects.adapters.put(adapter('team-a'));
    objects.policies.put(aPolicy('team-a'));
    const node = follow('Node', 'ops');
    clock.advance(50);
    const { plan = new Map(), withheld = new Set<string>() } = node.plan() ?? {};
    const state = { adapters: new Map(), rollouts: new Map() };
    const runtime = { key: 'ops/one', labels: {} };
    const nobody = () => undefined;
    const input = { plan, withheld, state, runtime, rolloutOf: nobody, versionOf: nobody };
    const { only } = planWhenHeld(input);
    expect([...only]).toEqual(['Policy team-a/default']);
  });
});
