import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestSchema, objectKey } from '../../api/names.ts';
import { anAdapter, aPolicy } from '../../plan/manifests.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeSecrets } from '../keys/fake-secrets.ts';
import { KeySecrets } from '../keys/key-secrets.ts';
import { aKey, aSecret } from '../keys/secret.fixture.ts';
import { Policies } from '../objects/policies.ts';
import { FakeObjects } from './fake-objects.ts';
import { type Following, Plans, type RuntimePlan } from './plans.ts';
import { planWhenHeld } from './when-held.ts';

let objects: FakeObjects;
let secrets: FakeSecrets;
let clock: FakeClock;
let plans: Plans;
beforeEach(() => {
  objects = new FakeObjects();
  secrets = new FakeSecrets();
  clock = new FakeClock();
  const policies = new Policies(objects.policies, 'ops');
  objects.policies.put(aPolicy('team-a', { clients: { keysFromSecrets: 'Allow' } }));
  const keys = new KeySecrets({ open: secrets.open, namespaces: ['team-a'], policies });
  plans = new Plans({ objects, clock, policies, keys });
});
afterEach(() => plans.close());

const follow = (kind: 'Node' | 'Pod', namespace: string, labels = {}, name = 'one'): Following => {
  objects.runtime(namespace, name, labels);
  return plans.follow({ key: objectKey(namespace, name), kind, baseModel: 'tiny' }, () => undefined);
};
const planned = (following: Following): Pick<RuntimePlan, 'plan' | 'withheld'> => {
  clock.advance(50);
  return following.plan() ?? { plan: new Map(), withheld: new Set() };
};
const keysIn = (following: Following) => {
  const resource = planned(following).plan.get('Keys team-a/secrets');
  return resource?.type === 'Keys' ? resource.body.keys.map(({ name }) => name) : undefined;
};

describe('keys out of Secrets', () => {
  it('are on nodes and on pods of their namespace, each change soon', () => {
    secrets.sync('team-a');
    secrets.put(aSecret('app', { key: aKey('a') }));
    const [node, pod, other] = [follow('Node', 'ops'), follow('Pod', 'team-a'), follow('Pod', 'team-b')];
    expect([node, pod, other].map(keysIn)).toEqual([['secret:app'], ['secret:app'], undefined]);
    secrets.remove(objectKey('team-a', 'app'));
    expect([node, pod].map(keysIn)).toEqual([[], []]);
  });

  it('are withheld until they were read: a runtime keeps those that it has', () => {
    const node = follow('Node', 'ops');
    expect(planned(node).withheld).toEqual(new Set(['Keys team-a/secrets']));
    secrets.sync('team-a');
    expect([keysIn(node), planned(node).withheld]).toEqual([[], new Set()]);
  });

  it('reach a runtime that is held: a key that is taken back is no good anywhere', () => {
    secrets.sync('team-a');
    const { plan, withheld } = planned(follow('Node', 'ops'));
    const state = { adapters: new Map(), rollouts: new Map() };
    const runtime = { key: 'ops/one', labels: {} };
    const nobody = () => undefined;
    const input = { plan, withheld, state, runtime, rolloutOf: nobody, versionOf: nobody };
    const { only } = planWhenHeld(input);
    expect(only).toContain('Keys team-a/secrets');
  });
});

describe('the nodes that a policy leaves a namespace', () => {
  it('alone have its adapters, also after labels or the policy changed', () => {
    objects.adapters.put(
      anAdapter({ name: 'sql' }, { digest: digestSchema.parse(`sha256:${'0'.repeat(64)}`) }),
    );
    const nodes = { matchLabels: { pool: 'edge' } };
    const [edge, core] = [
      follow('Node', 'ops', { pool: 'edge' }, 'a'),
      follow('Node', 'ops', { pool: 'core' }, 'b'),
    ];
    const have = () => [edge, core].map((one) => planned(one).plan.has('AdapterSpec team-a/sql'));
    expect(have()).toEqual([true, true]);
    objects.policies.put(aPolicy('team-a', { runtimes: { nodes } }));
    expect(have()).toEqual([true, false]);
    objects.runtime('ops', 'b', { pool: 'edge' });
    expect(have()).toEqual([true, true]);
    objects.runtime('ops', 'a', {});
    expect(have()).toEqual([false, true]);
  });
});
