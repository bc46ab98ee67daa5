import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { folderOfTest } from '../../../test/support/temporary-folder.ts';
import { split } from '../../control/plans.fixture.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { resourceKey, versioned } from '../../plan/resources.ts';
import { PlanInForce } from '../plan-source/plan-in-force.ts';
import { adapter, key, settle, stateOf, type WorldShape, world } from '../residency/fake-ports.ts';
import { RolloutCounts } from '../serving/counts/rollout-counts.ts';
import { servingFacts } from '../serving/facts.ts';
import { memoryOf, recall } from '../state/memory.ts';
import { handoverOf } from './handover.ts';

let folder: string;
beforeEach(() => {
  folder = folderOfTest();
});

/** A process of a node: what the one before wrote to the data folder is all that it knows. */
const startNode = async (shape: WorldShape = {}) => {
  const w = world(shape);
  const { residency } = w;
  const memory = memoryOf(folder);
  const problems: unknown[] = [];
  const remembered = await recall(memory, { error: (problem: unknown) => void problems.push(problem) });
  const heldBack = new Set<string>();
  const holds = { isHeld: (_: string, digest: string) => heldBack.has(digest) };
  const facts = servingFacts(residency, { holdInForce: () => undefined });
  const handover = handoverOf({ memory, remembered }, { facts, holds, residency });
  const plan = new PlanInForce({
    residency,
    guard: { follow: () => undefined },
    counts: new RolloutCounts(),
    quotas: { follow: () => undefined },
    baseModel: 'tiny',
    handover,
  });
  residency.onTransition((one) => plan.moved(one));
  const bound = (name: string) => ({ adapter: name, uid: `uid-${name}`, digest: w.digest(name) });
  const follow = async (stable: string, former?: string) => {
    const of = (name: string, tier: 'Memory' | 'Disk') =>
      adapter(name, { digest: w.digest(name), tier, held: tier === 'Memory' });
    const before = former === undefined ? {} : { former: bound(former) };
    const resources = [
      of(stable, 'Memory'),
      ...(former === undefined ? [] : [of(former, 'Disk')]),
      split('team/sql', { stable: bound(stable), ...before }),
    ];
    plan.apply(new Map(resources.map((one) => [resourceKey(one), versioned(one)])));
    for (let turn = 0; turn < 4; turn++) await settle();
    await plan.saved();
  };
  const stable = () => plan.table.splits.get(key('sql'))?.body.stable?.adapter;
  return { ...w, w, handover, heldBack, problems, plan, follow, stable, remembered };
};

describe('what serves until the stable of the plan is here', () => {
  it('is on the disk once the plan says that it is saved, and a new process goes on with it', async () => {
    const node = await startNode();
    await node.follow('v1');
    node.script.hold('fetch v2');
    await node.follow('v2');
    expect(node.stable()).toBe('v1');
    const again = await startNode({ disk: node.disk });
    expect(again.remembered.kept).toMatchObject([{ rollout: 'team/sql', bound: { adapter: 'v1' } }]);
    again.digest('v1');
    const fetching = again.script.hold('fetch v2');
    await again.follow('v2');
    expect([again.stable(), stateOf(again.w, 'v1')]).toEqual(['v1', 'Resident']);
    fetching.resolve();
    for (let turn = 0; turn < 6; turn++) await settle();
    await again.plan.saved();
    expect(again.stable()).toBe('v2');
    expect((await startNode()).remembered.kept).toEqual([]);
  });

  it('is forgotten where its file is damaged, which is said: the plan is followed to the letter', async () => {
    const node = await startNode();
    await node.follow('v1');
    node.script.hold('fetch v2');
    await node.follow('v2');
    await writeFile(join(folder, 'state', 'kept.json'), '{"kept": [');
    const again = await startNode({ disk: node.disk });
    expect([again.remembered.kept, again.problems.length]).toEqual([[], 1]);
    again.script.hold('fetch v2');
    await again.follow('v2');
    expect(again.stable()).toBe('v2');
  });

  it('is nothing that is held back on this node', async () => {
    const node = await startNode();
    await node.follow('v1');
    node.heldBack.add(node.digest('v1'));
    node.script.hold('fetch v2');
    await node.follow('v2');
    expect(node.stable()).toBe('v2');
  });
});

describe('what a node knows of an adapter for that', () => {
  it.each([
    ['could not be brought, and is tried again', 'REGISTRY_UNAVAILABLE', { isLost: true, isRefused: false }],
    ['is not signed, which somebody may change', 'SIGNATURE_MISSING', { isLost: true, isRefused: true }],
    ['is broken', 'ADAPTER_NO_EFFECT', { isLost: false, isRefused: true }],
  ] as const)('tells one that %s', async (_, code, expected) => {
    const { handover, script, follow } = await startNode();
    script.fail('fetch v1', new AdaptletError(code, 'seen'), 9);
    await follow('v1');
    const at = key('v1');
    expect({ isLost: handover.facts.isLost(at), isRefused: handover.facts.isRefused(at) }).toEqual(expected);
  });

  it('tells what is on the disk from what serves', async () => {
    const node = await startNode();
    await node.follow('v2', 'v1');
    const of = (name: string) => {
      const [at, digest] = [key(name), node.digest(name)];
      return [node.handover.facts.serves(at, digest), node.handover.facts.isHere(at, digest)];
    };
    expect([of('v2'), of('v1'), of('v0')]).toEqual([
      [true, true],
      [false, true],
      [false, false],
    ]);
  });
});
