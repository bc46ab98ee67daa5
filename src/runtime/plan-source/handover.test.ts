import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../api/names.ts';
import { policySpecSchema } from '../../api/policy.ts';
import { split } from '../../control/plans.fixture.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { type Resource, resourceKey, versioned } from '../../plan/resources.ts';
import {
  adapter,
  key,
  settle,
  stateOf,
  type World,
  type WorldShape,
  world,
} from '../residency/fake-ports.ts';
import { route } from '../routing/route.ts';
import { RolloutCounts } from '../serving/counts/rollout-counts.ts';
import { isAwaited, isRefused, servingFacts } from '../serving/facts.ts';
import { type Kept, keptSchema, keptToJson } from '../state/kept.ts';
import { breakGlass } from '../sync/break-glass.ts';
import { PlanInForce } from './plan-in-force.ts';

const held = { tier: 'Memory', held: true } as const;
const disk = { tier: 'Disk' } as const;

/** A node whose plan has one rollout; `remembered`: what an earlier process kept. */
const start = (shape: WorldShape = {}, remembered: readonly Kept[] = []) => {
  const w = world(shape);
  const holds = new Set<string>();
  const facts = servingFacts(w.residency, {
    holdInForce: (_, digest) =>
      holds.has(digest)
        ? {
            rolloutUid: '',
            digest,
            arm: 'stable',
            cause: 'BreakGlass',
            reason: 'by hand',
            at: '',
            attempt: 1,
          }
        : undefined,
  });
  let saved: unknown;
  const refusals: Error[] = [];
  const plan = new PlanInForce({
    residency: w.residency,
    guard: { follow: () => undefined },
    counts: new RolloutCounts(),
    quotas: { follow: () => undefined },
    baseModel: 'tiny',
    handover: {
      remembered,
      facts: {
        serves: (at, digest) => facts.serves(at, digest),
        isHere: (at, digest) => facts.isHere(at, digest),
        isHeld: (_, digest) => holds.has(digest),
        isLost: (at) => isAwaited(w.residency.state(at)),
        isRefused: (at) => isRefused(w.residency.state(at)),
      },
      write: (kept) => {
        const refusal = refusals.pop();
        if (refusal !== undefined) return Promise.reject(refusal);
        saved = JSON.parse(JSON.stringify(keptToJson(kept)));
        return Promise.resolve();
      },
    },
  });
  w.residency.onTransition((one) => plan.moved(one));
  const bound = (name: string) => ({ adapter: name, uid: `uid-${name}`, digest: w.digest(name) });
  const of = (name: string, more = {}) => adapter(name, { digest: w.digest(name), ...more });
  const apply = async (...resources: readonly Resource[]) => {
    plan.apply(new Map(resources.map((one) => [resourceKey(one), versioned(one)])));
    await settle();
    await settle();
  };
  const sql = (more: Parameters<typeof split>[1]) => split('team/sql', more);
  const asked = () => {
    const context = { namespace: 'team', model: 'sql', user: 'u', headers: new Map() };
    return route(plan.table, context, facts, 'r').candidates.map((one) =>
      one.kind === 'adapter' ? one.key : one.kind,
    );
  };
  return { ...w, w, plan, holds, bound, of, apply, sql, asked, refusals, saved: () => saved };
};
type Node = ReturnType<typeof start>;
/** What says that adapters of the namespace come from elsewhere. */
const forbidding: Resource = {
  type: 'Policy',
  name: key('default'),
  body: {
    uid: 'uid-policy',
    isDefault: false,
    ...policySpecSchema.parse({ sources: { paths: ['team/v4'] } }),
  },
};

/** The node serves v1, and was away while v2 and v3 came and went. `fetch v4` of its script waits. */
const away = async (shape: WorldShape = {}) => {
  const node = start(shape);
  await node.apply(node.of('v1', held), node.sql({ stable: node.bound('v1') }));
  expect(stateOf(node.w, 'v1')).toBe('Resident');
  const fetching = node.script.hold('fetch v4');
  await node.apply(...comesBack(node));
  return { ...node, fetching };
};
const comesBack = (node: Pick<Node, 'of' | 'bound' | 'sql'>) => [
  node.of('v4', held),
  node.of('v2', disk),
  node.sql({ stable: node.bound('v4'), former: node.bound('v2') }),
];
const isReady = (w: World, name: string) => w.residency.serves(key(name), w.digest(name));

describe('a node that comes back when its rollout has another stable, which it never had', () => {
  it('serves what it served until the new one is Resident, then the new one alone', async () => {
    const node = await away();
    expect(node.asked()).toEqual(['team/v1']);
    expect(isReady(node.w, 'v1')).toBe(true);
    node.fetching.resolve();
    await settle();
    await settle();
    expect(node.asked()).toEqual(['team/v4']);
    expect(isReady(node.w, 'v4')).toBe(true);
    expect(node.plan.table.splits.get(key('sql'))?.body.former?.adapter).toBe('v2');
    expect(stateOf(node.w, 'v1')).toBeUndefined();
    expect(node.disk.has(node.digest('v1'))).toBe(false);
    expect(node.saved()).toEqual({ kept: [] });
  });

  it('goes on with it while the new one fails, also over a restart, which has it from its disk', async () => {
    const node = await away();
    node.fetching.reject(new Error('the registry is gone'));
    await settle();
    expect(stateOf(node.w, 'v4')).toBe('Failed');
    expect(node.asked()).toEqual(['team/v1']);
    const again = start({ disk: node.disk }, keptSchema.parse(node.saved()));
    for (const name of ['v1', 'v2', 'v4']) again.digest(name);
    const fetching = again.script.hold('fetch v4');
    await again.apply(...comesBack(again));
    expect(again.asked()).toEqual(['team/v1']);
    expect(isReady(again.w, 'v1')).toBe(true);
    expect(again.script.count('fetch v1')).toBe(0);
    fetching.resolve();
    await settle();
    await settle();
    expect(again.asked()).toEqual(['team/v4']);
  });

  it('goes on with it while no registry answers, and changes by itself once one does', async () => {
    const node = await away();
    node.fetching.reject(new AdaptletError('REGISTRY_UNAVAILABLE', 'no route'));
    await settle();
    node.clock.advance(500);
    await settle();
    expect([stateOf(node.w, 'v4'), node.asked()]).toEqual(['Failed', ['team/v1']]);
    expect(node.plan.awaited(key('sql'))).toMatchObject({ adapter: 'v4' });
    node.clock.advance(600_000);
    await settle();
    await settle();
    expect(node.asked()).toEqual(['team/v4']);
    expect(node.plan.awaited(key('sql'))).toBeUndefined();
  });

  it('takes it out of RAM, not out of service, where both do not fit', async () => {
    const node = await away({ sizes: { v1: 60, v4: 60 } });
    node.fetching.resolve();
    await settle();
    await settle();
    await settle();
    expect(node.asked()).toEqual(['team/v4']);
    expect(isReady(node.w, 'v4')).toBe(true);
  });

  it('keeps it on a disk on which the namespace has no room for both', async () => {
    const node = await away({ diskShare: () => ({ guarantee: 0, limit: 5 }) });
    node.fetching.resolve();
    await settle();
    expect(node.w.residency.view(key('v4'))?.message).toContain('bytes of disk');
    expect(node.disk.has(node.digest('v1'))).toBe(true);
    expect(node.asked()).toEqual(['team/v1']);
    expect(isReady(node.w, 'v1')).toBe(true);
  });

  it('gives a canary no requests meanwhile: it has nothing to be compared with', async () => {
    const node = await away();
    const canary = { ...node.bound('v5'), seed: '00000000000000aa', attempt: 1 };
    await node.apply(node.of('v5', held), ...comesBack(node).slice(0, 2), {
      ...node.sql({ stable: node.bound('v4'), canary, weight: 100 }),
    });
    expect(isReady(node.w, 'v5')).toBe(true);
    expect(node.asked()).toEqual(['team/v1']);
    node.fetching.resolve();
    await settle();
    await settle();
    expect(node.asked()).toEqual(['team/v5', 'team/v4']);
  });

  it('is over when the operator goes back to what it serves, or removes the rollout', async () => {
    const node = await away();
    await node.apply(node.of('v1', held), node.sql({ stable: node.bound('v1') }));
    expect(node.saved()).toEqual({ kept: [] });
    await node.apply(...comesBack(node));
    await node.apply(node.of('v4', held));
    expect(node.saved()).toEqual({ kept: [] });
    expect(stateOf(node.w, 'v1')).toBeUndefined();
  });

  it('serves what a person put back there by hand, when that is what served', async () => {
    const node = start();
    const both = [node.of('v1', held), node.of('v0', { tier: 'Memory' })];
    await node.apply(...both, node.sql({ stable: node.bound('v1'), former: node.bound('v0') }));
    node.holds.add(node.digest('v1'));
    node.script.hold('fetch v4');
    await node.apply(...comesBack(node));
    expect(node.asked()).toEqual(['team/v0']);
  });
});

describe('what is kept', () => {
  it('is written again where the disk refused, so that the plan can be written after it', async () => {
    const node = start();
    await node.apply(node.of('v1', held), node.sql({ stable: node.bound('v1') }));
    node.script.hold('fetch v4');
    node.refusals.push(new Error('no space'), new Error('no space'));
    await node.apply(...comesBack(node));
    await expect(node.plan.saved()).rejects.toThrow('no space');
    await node.plan.saved();
    expect(node.saved()).toMatchObject({ kept: [{ bound: { adapter: 'v1' } }] });
  });
});

describe('a rollback by hand of what is kept', () => {
  it('takes it out of service, with a canary in the plan or without: who asks waits for the stable of the plan', async () => {
    for (const attempt of [undefined, 1]) {
      const node = await away();
      const canary =
        attempt === undefined
          ? {}
          : { canary: { ...node.bound('v5'), seed: '00000000000000aa', attempt: 1 } };
      await node.apply(...comesBack(node).slice(0, 2), node.sql({ stable: node.bound('v4'), ...canary }));
      const holds = {
        hold: (_: string, digest: string) => void node.holds.add(digest),
        isHeld: (_: string, digest: string) => node.holds.has(digest),
        ofRollout: () => [],
        release: () => undefined,
        saved: () => Promise.resolve(),
      };
      const awaited = (rollout: ObjectKey) => node.plan.awaited(rollout);
      const { residency } = node;
      await breakGlass({ table: () => node.plan.table, awaited, holds, residency }, key('sql'), 'rollback');
      node.plan.look();
      expect([...node.holds]).toEqual([node.digest('v1')]);
      expect(node.asked()).toEqual(['team/v4']);
      expect(node.saved()).toEqual({ kept: [] });
      node.fetching.resolve();
    }
  });
});

describe('a node whose disk has lost the stable of its plan', () => {
  const started = async () => {
    const node = start({ disk: new Map() });
    node.disk.set(node.digest('v1'), 5);
    node.digest('v2');
    node.script.fail('fetch v2', new AdaptletError('REGISTRY_UNAVAILABLE', 'no route'), 2);
    await node.apply(
      node.of('v2', held),
      node.of('v1', disk),
      node.sql({ stable: node.bound('v2'), former: node.bound('v1') }),
    );
    await settle();
    return node;
  };

  it('serves the version before, which is there, until a registry gives stable again', async () => {
    const node = await started();
    expect([stateOf(node.w, 'v2'), stateOf(node.w, 'v1')]).toEqual(['Failed', 'Resident']);
    expect(node.asked()).toEqual(['team/v1']);
    node.clock.advance(600_000);
    await settle();
    await settle();
    expect(node.script.count('fetch v2')).toBeGreaterThan(1);
    node.clock.advance(600_000);
    await settle();
    await settle();
    expect(node.asked()).toEqual(['team/v2']);
  });

  it('asks stable where the version before is held back, or not there', async () => {
    const node = await started();
    node.holds.add(node.digest('v1'));
    await node.apply(
      node.of('v2', held),
      node.of('v1', disk),
      node.sql({ stable: node.bound('v2'), former: node.bound('v1') }),
    );
    expect(node.plan.awaited(key('sql'))).toBeUndefined();
  });
});

describe('a stable that is not kept', () => {
  it('is one that is rolled back: what it was before serves, and who asks waits for it', async () => {
    const node = start();
    await node.apply(node.of('v1', held), node.sql({ stable: node.bound('v1') }));
    const both = [node.of('v2', held), node.of('v1', disk)];
    await node.apply(...both, node.sql({ stable: node.bound('v2'), former: node.bound('v1') }));
    await node.residency.evict(key('v1'), new AbortController().signal);
    const loading = node.script.hold('load v1');
    await node.apply(node.of('v1', held), node.of('v2', disk), node.sql({ stable: node.bound('v1') }));
    expect(node.asked()).toEqual(['team/v1']);
    loading.resolve();
  });

  it('is one that was rolled back while the node was away, to a version that it does not have', async () => {
    const node = start();
    await node.apply(node.of('v3', held), node.sql({ stable: node.bound('v3') }));
    const fetching = node.script.hold('fetch v1');
    const canary = { ...node.bound('v3'), seed: '00000000000000aa', attempt: 1 };
    await node.apply(
      node.of('v1', held),
      node.of('v3', disk),
      node.sql({ stable: node.bound('v1'), canary }),
    );
    expect(node.asked()).toEqual(['team/v1']);
    fetching.resolve();
  });

  it('is one that was rolled back while the node was away, before there was another one', async () => {
    const node = start();
    const before = [node.of('v2', held), node.of('v1', disk)];
    await node.apply(...before, node.sql({ stable: node.bound('v2'), former: node.bound('v1') }));
    const fetching = node.script.hold('fetch v3');
    const after = [node.of('v3', held), node.of('v1', disk), node.of('v2', disk)];
    await node.apply(...after, node.sql({ stable: node.bound('v3'), former: node.bound('v1') }));
    expect(node.asked()).toEqual(['team/v3']);
    fetching.resolve();
  });

  it('is one that a policy forbids by now', async () => {
    const node = await away();
    expect(node.asked()).toEqual(['team/v1']);
    await node.apply(forbidding, ...comesBack(node));
    expect(node.asked()).toEqual(['team/v4']);
    expect([node.saved(), stateOf(node.w, 'v1')]).toEqual([{ kept: [] }, undefined]);
    node.fetching.resolve();
  });

  it('is the version before a lost one, while a canary hides whether stable was put back because of it', async () => {
    const node = start({ disk: new Map() });
    node.disk.set(node.digest('v1'), 5);
    node.script.fail('fetch v2', new AdaptletError('REGISTRY_UNAVAILABLE', 'no route'), 2);
    const canary = { ...node.bound('v3'), seed: '00000000000000aa', attempt: 1 };
    await node.apply(
      node.of('v2', held),
      node.of('v1', disk),
      node.sql({ stable: node.bound('v2'), former: node.bound('v1'), canary }),
    );
    await settle();
    expect(stateOf(node.w, 'v2')).toBe('Failed');
    expect(node.plan.awaited(key('sql'))).toBeUndefined();
  });

  it('is one whose successor is Resident, as after a canary', async () => {
    const node = start();
    await node.apply(node.of('v1', held), node.of('v2', held), node.sql({ stable: node.bound('v1') }));
    await node.apply(node.of('v2', held), node.sql({ stable: node.bound('v2') }));
    expect(node.asked()).toEqual(['team/v2']);
    expect(node.saved()).toBeUndefined();
  });

  it('is another object of the same name', async () => {
    const node = await away();
    const other = adapter('v1', { ...held, uid: 'uid-other', source: { path: { path: 'other' } } });
    await node.apply(other, ...comesBack(node));
    expect(node.asked()).toEqual(['team/v4']);
    node.fetching.resolve();
  });
});
