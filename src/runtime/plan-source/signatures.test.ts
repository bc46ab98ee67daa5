import { expect, it } from 'vitest';
import { policySpecSchema } from '../../api/policy.ts';
import { split } from '../../control/plans.fixture.ts';
import { type Resource, resourceKey, versioned } from '../../plan/resources.ts';
import { requirementOf } from '../../signature/requirement.ts';
import { aKeyPair, signersOf } from '../../signature/signatures.fixture.ts';
import { adapter, key, settle, stateOf, world } from '../residency/fake-ports.ts';
import { RolloutCounts } from '../serving/counts/rollout-counts.ts';
import { servingFacts } from '../serving/facts.ts';
import { handoverOf } from '../start/handover.ts';
import { PlanInForce } from './plan-in-force.ts';

const signatures = { required: true, ...signersOf({ release: aKeyPair() }) };
const policy = (more: object): Resource => ({
  type: 'Policy',
  name: key('default'),
  body: { uid: 'uid-policy', isDefault: false, ...policySpecSchema.parse(more) },
});
const asking = policy({ signatures });
const relaxed = policy({});
const held = { tier: 'Memory', held: true } as const;

const start = () => {
  const signed = new Map();
  const w = world({ signed });
  const { residency } = w;
  const noHolds = { holdInForce: () => undefined, isHeld: () => false };
  const memory = { kept: { write: () => Promise.resolve() } };
  const disk = { memory, remembered: { kept: [] } } as unknown as Parameters<typeof handoverOf>[0];
  const facts = servingFacts(residency, noHolds);
  const plan = new PlanInForce({
    residency,
    guard: { follow: () => undefined },
    counts: new RolloutCounts(),
    quotas: { follow: () => undefined },
    baseModel: 'tiny',
    handover: handoverOf(disk, { facts, holds: noHolds, residency }),
  });
  residency.onTransition((one) => plan.moved(one));
  const apply = async (...resources: readonly Resource[]) => {
    plan.apply(new Map(resources.map((one) => [resourceKey(one), versioned(one)])));
    for (let turn = 0; turn < 4; turn++) await settle();
  };
  const of = (name: string, more: object) => adapter(name, { digest: w.digest(name), ...more });
  const bound = (name: string) => ({ adapter: name, uid: `uid-${name}`, digest: w.digest(name) });
  const sign = (name: string) =>
    signed.set(w.digest(name), requirementOf({ name: key('default'), signatures }, undefined)?.version);
  const isReady = (name: string) => residency.serves(key(name), w.digest(name));
  const stable = () => plan.table.splits.get(key('sql'))?.body.stable?.adapter;
  return { ...w, w, apply, of, bound, sign, isReady, stable };
};

it('a policy that is tightened ends an unsigned adapter whose resource does not change, and one that is relaxed begins it', async () => {
  const node = start();
  const spec = node.of('v1', { tier: 'Memory' });
  await node.apply(spec, relaxed);
  expect(node.isReady('v1')).toBe(true);
  await node.apply(spec, asking);
  expect([stateOf(node.w, 'v1'), node.isReady('v1')]).toEqual(['Failed', false]);
  await node.apply(spec, relaxed);
  expect(node.isReady('v1')).toBe(true);
});

it('what goes on serving in place of a stable that is to come is signed as the policy says now, not as its last plan did', async () => {
  const node = start();
  node.sign('v1');
  const sql = (name: string) => split('team/sql', { stable: node.bound(name) });
  await node.apply(node.of('v1', { ...held, signed: true }), sql('v1'), asking);
  expect(node.isReady('v1')).toBe(true);
  const fetching = node.script.hold('fetch v2');
  await node.apply(node.of('v2', held), sql('v2'), relaxed);
  expect(node.isReady('v1')).toBe(true);
  await node.apply(node.of('v2', { ...held, signed: true }), sql('v2'), asking);
  expect(node.isReady('v1')).toBe(true);
  fetching.resolve();
});

it('what is kept serves no more where the next stable has to be signed and the policy is not on this node', async () => {
  const node = start();
  node.sign('v1');
  const sql = (name: string) => split('team/sql', { stable: node.bound(name) });
  await node.apply(node.of('v1', { ...held, signed: true }), sql('v1'), asking);
  const fetching = node.script.hold('fetch v2');
  await node.apply(node.of('v2', { ...held, signed: true }), sql('v2'));
  expect(node.isReady('v1')).toBe(false);
  fetching.resolve();
});

it('what is kept ends with a policy that asks for a signature that it does not have', async () => {
  const node = start();
  const sql = (name: string) => split('team/sql', { stable: node.bound(name) });
  await node.apply(node.of('v1', held), sql('v1'), relaxed);
  const fetching = node.script.hold('fetch v2');
  await node.apply(node.of('v2', held), sql('v2'), relaxed);
  expect(node.isReady('v1')).toBe(true);
  await node.apply(node.of('v2', { ...held, signed: true }), sql('v2'), asking);
  expect([node.isReady('v1'), node.stable()]).toEqual([false, 'v2']);
  fetching.resolve();
});
