import { describe, expect, it } from 'vitest';
import { objectKey } from '../api/names.ts';
import { policySpecSchema } from '../api/policy.ts';
import { type PolicyResource, versioned } from '../plan/resources.ts';
import { FakeClock } from '../time/fake-clock.ts';
import { type HeldPlan, heldPlanSchema, heldPlanToJson } from './held-plan.ts';
import { adapter, at, planOf, targetOf } from './plans.fixture.ts';
import { Receiver } from './receiver.ts';
import { revisionFromWire, revisionToWire } from './revision.ts';
import { Sender } from './sender.ts';
import { resourceToWire } from './wire.ts';

const policy: PolicyResource = {
  type: 'Policy',
  name: objectKey('team-a', 'default'),
  body: { uid: 'uid', isDefault: false, ...policySpecSchema.parse({ base: 'Deny' }) },
};
const held: HeldPlan = {
  clusterUid: 'cluster-1',
  revision: at(7),
  resources: [...planOf(adapter('a'), policy).values()],
  removals: [],
};
const json = (value: HeldPlan) => JSON.parse(JSON.stringify(heldPlanToJson(value)));

describe('a plan on the disk', () => {
  it('has its policies, and how far they were seen', () => {
    expect(heldPlanSchema.parse(json(held))).toEqual({ held, problems: [], journal: '' });
  });

  it('of an earlier version has none, and has seen none', () => {
    const { policies: _, resources, ...earlier } = json(held);
    const read = heldPlanSchema.parse({ ...earlier, resources: resources.slice(0, 1) });
    expect(read.problems).toEqual([]);
    expect(read.held).toEqual({ ...held, revision: at(7, { policies: 0n }), resources: [held.resources[0]] });
  });

  it('has a revision that an earlier version reads, which refuses every other part', () => {
    expect(Object.keys(json(held).revision)).toEqual(['adapters', 'rollouts', 'routes', 'runtimes']);
  });
});

describe('a runtime under an operator of an earlier version', () => {
  const connected = () => {
    const receiver = new Receiver({ held, clock: new FakeClock() });
    receiver.hello();
    receiver.welcome('cluster-1');
    return receiver;
  };
  const commit = (receiver: Receiver, revision: ReturnType<typeof at>) =>
    receiver.commit({ nonce: 1n, revision: revisionToWire(revision), confirmedRemovals: '' });

  it('follows it, keeps its policies, and still knows how far it has seen them', () => {
    const receiver = connected();
    receiver.put(resourceToWire(versioned(adapter('b'))));
    expect(commit(receiver, at(8, { policies: 0n })).outcome).toBe('Applied');
    expect([...receiver.plan.keys()]).toContain('Policy team-a/default');
    expect(receiver.revision).toEqual(at(8, { policies: 7n }));
  });

  it('still refuses a replica that knows policies and has seen less of them', () => {
    expect(commit(connected(), at(8, { policies: 6n }))).toMatchObject({ outcome: 'Rejected', why: 'Stale' });
  });
});

describe('a runtime of an earlier version under this operator', () => {
  it('says the list of what it holds, and is asked for nothing', () => {
    const plan = planOf(adapter('a'), policy);
    const versions = new Map([...plan].map(([key, { version }]) => [key, version]));
    const sender = new Sender({ held: versions, revision: at(3), subscriptions: [] });
    expect(sender.next(targetOf(plan, at(9)))).toBeUndefined();
    expect([sender.isKnown, sender.asks()]).toEqual([true, undefined]);
  });

  it('has seen no policies, refuses them once, and gets the rest', () => {
    const { policies: _, ...wire } = revisionToWire(at(3));
    const revision = revisionFromWire({ ...wire, policies: 0n });
    const sender = new Sender({ held: new Map(), revision, subscriptions: [] });
    const plan = planOf(adapter('a'), policy);
    const batch = sender.next(targetOf(plan, at(9)));
    expect(batch?.puts.map(({ type }) => type)).toEqual(['AdapterSpec', 'Policy']);
    const reason = 'the key is not `type namespace/name` of a known type';
    const refusal = { key: 'Policy team-a/default', version: '', reason };
    expect(sender.acknowledged(1n, [refusal])).toBe(true);
    expect([...sender.refused.keys()]).toEqual(['Policy team-a/default']);
    expect(sender.next(targetOf(plan, at(10)))).toBeUndefined();
  });
});
