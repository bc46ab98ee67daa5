import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import { noRevision } from '../../control/revision.ts';
import { selectionOf } from '../../control/selection.ts';
import { Sender } from '../../control/sender.ts';
import { compilePlan } from '../../plan/compile.ts';
import { anAdapter, aRoute } from '../../plan/manifests.fixture.ts';
import { type Plan, resourceKey } from '../../plan/resources.ts';
import { SharedMap } from '../../plan/shared-map.ts';
import { type Entry, ViewPlan } from '../../plan/view-plan.ts';
import { AdapterTable } from '../fleet/adapter-table.ts';
import { Cells } from '../fleet/cells.ts';
import type { Restraint } from '../objects/restraint.ts';
import { anAdapterState, aRolloutState } from '../testing/fake-fleet.ts';
import {
  adapters,
  bound,
  type Change,
  canaryV2,
  changes,
  Node,
  names,
  rolloutOf,
  runtime,
  sql,
} from './restrained.fixture.ts';
import { planWhenCordoned } from './when-cordoned.ts';
import { planWhenHeld } from './when-held.ts';

/** The same plan as runtimes of one table share it. */
const viewOf = (plan: Plan): ViewPlan => {
  const { base } = selectionOf(plan, []);
  const all = [...plan].map(([key, resource]) => [key, { resource, isSent: base.has(key) }] as const);
  const layer = () => ({ entries: SharedMap.empty<Entry>(), called: SharedMap.empty<string>() });
  const shared = { ...layer(), entries: SharedMap.empty<Entry>().with(all) };
  return new ViewPlan({ shared, chosen: layer(), namespaces: new Set(), own: new Map() });
};

describe('a plan that runtimes share', () => {
  const targets = fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 2 });
  const had = fc.uniqueArray(fc.constantFrom(...names));

  it('is restrained to the same as a plan of its own, by reference', () => {
    fc.assert(
      fc.property(changes, changes, had, targets, fc.boolean(), (before, after, has, routed, isHeld) => {
        const route = aRoute({ name: 'r' }, {
          rules: [{ name: 'all', targets: routed.map((adapter) => ({ adapter, weight: 1 })), fallback: [] }],
        } as never);
        const planOf = (change: Change): Plan =>
          compilePlan({
            manifests: [...adapters, rolloutOf(change), route],
            runtime: { ...runtime, baseModel: 'tiny' },
          }).plan;
        const split = planOf(before).get(`Split ${sql}`);
        const { uid = '', stable, canary } = split?.type === 'Split' ? split.body : {};
        const state = {
          adapters: new Map(
            has.map((name) => {
              const { uid: of, digest } = bound(name);
              return [objectKey('team-a', name), anAdapterState(of, digest, 'Stored')] as const;
            }),
          ),
          rollouts: new Map([
            [
              sql,
              aRolloutState(uid, {
                stableDigest: stable?.digest ?? '',
                canaryDigest: canary?.digest ?? '',
                weight: 20,
              }),
            ],
          ]),
        };
        const restrain = isHeld ? planWhenHeld : planWhenCordoned;
        const input = {
          withheld: new Set<string>(),
          state,
          runtime,
          rolloutOf: () => rolloutOf(after),
          adapterOf: () => undefined,
          versionOf: () => undefined,
        };
        const plan = planOf(after);
        const [own, shared] = [plan, viewOf(plan)].map((each) => restrain({ ...input, plan: each }));
        const sorted = (of: Plan) => [...of].sort(([a], [b]) => (a < b ? -1 : 1));
        const sentOf = (of: Plan) => sorted(selectionOf(of, []).base);
        if (own === undefined || shared === undefined) expect.fail();
        expect(shared.plan).toBeInstanceOf(ViewPlan);
        expect(sorted(shared.plan)).toEqual(sorted(own.plan));
        expect(sentOf(shared.plan)).toEqual(sentOf(own.plan));
        expect([shared.withheld, shared.only]).toEqual([own.withheld, own.only]);
      }),
      { numRuns: 400 },
    );
  });

  it.each<[Restraint]>([['Held'], ['Cordoned']])(
    'costs what a runtime has otherwise, not what there is: %s',
    (restraint) => {
      const many = Array.from({ length: 2_000 }, (_, at) =>
        anAdapter({ name: `other-${at}` }, { digest: fakeDigest('7'), preload: { tier: 'Disk' } }),
      );
      const manifests = (change: Change) => [...adapters, ...many, rolloutOf(change)];
      const plans = [canaryV2, { ...canaryV2, weight: 50 }, { ...canaryV2, aborted: true }].map((change) => ({
        plan: compilePlan({ manifests: manifests(change), runtime: { ...runtime, baseModel: 'tiny' } }).plan,
        rollout: rolloutOf(change),
      }));
      const views: ViewPlan[] = [];
      for (const { plan } of plans) {
        const before = views.at(-1);
        views.push(before === undefined ? viewOf(plan) : changedView(before, plan));
      }
      const node = new Node().follow(rolloutOf(canaryV2), [...adapters, ...many]);
      const { state } = node;
      const versionOf = (key: string) => node.resources.get(key)?.version;
      const sender = new Sender({
        held: new Map([...node.resources].map(([key, { version }]) => [key, version])),
        revision: noRevision,
        subscriptions: [],
      });
      const nextOf = (at: number) => {
        const { rollout } = plans[at] ?? expect.fail();
        const input = { plan: views[at] ?? expect.fail(), withheld: new Set<string>(), state, runtime };
        const restrain = restraint === 'Held' ? planWhenHeld : planWhenCordoned;
        const batch = sender.next({
          ...restrain({ ...input, rolloutOf: () => rollout, adapterOf: () => undefined, versionOf }),
          revision: noRevision,
          mayRemove: () => true,
          confirmedRemovals: '',
        });
        if (batch !== undefined) sender.acknowledged(batch.commit.nonce, []);
        return batch?.puts.map(resourceKey);
      };
      nextOf(0);
      const walks = ['entries', 'keys', 'values', 'forEach'] as const;
      const spies = walks.map((walk) => vi.spyOn(ViewPlan.prototype, walk));
      const puts = [nextOf(1), nextOf(2)];
      expect(spies.flatMap(({ mock }) => mock.calls)).toEqual([]);
      for (const spy of spies) spy.mockRestore();
      const split = [`Split ${sql}`];
      const aborted = restraint === 'Held' ? split : ['AdapterSpec team-a/v2', ...split];
      expect(puts).toEqual([restraint === 'Held' ? undefined : split, aborted]);
    },
  );
});

describe('a cordoned runtime', () => {
  it('looks at the adapters of its plan when they change or its own do, and not for a step of a rollout', () => {
    const many = Array.from({ length: 2_000 }, (_, at) =>
      anAdapter({ name: `other-${at}` }, { digest: fakeDigest('7'), preload: { tier: 'Disk' } }),
    );
    const planOf = (change: Change, others = many) =>
      compilePlan({
        manifests: [...adapters, ...others, rolloutOf(change)],
        runtime: { ...runtime, baseModel: 'tiny' },
      }).plan;
    const first = viewOf(planOf(canaryV2));
    const step = changedView(first, planOf({ ...canaryV2, weight: 50 }));
    const { state } = new Node().follow(rolloutOf(canaryV2), [...adapters, ...many]);
    const had = new AdapterTable(new Cells());
    for (const [key, one] of state.adapters) had.set(key, one);
    const looks = vi.spyOn(AdapterTable.prototype, 'get');
    const restrained = (plan: Plan, change: Change = canaryV2) => {
      looks.mockClear();
      const input = {
        withheld: new Set<string>(),
        runtime,
        versionOf: () => undefined,
        adapterOf: () => undefined,
      };
      const rolloutNow = () => rolloutOf(change);
      const own = { adapters: had, rollouts: state.rollouts };
      const sent = planWhenCordoned({ ...input, plan, state: own, rolloutOf: rolloutNow });
      return { looks: looks.mock.calls.length, sent };
    };
    const few = 20;
    expect(restrained(first).looks).toBeGreaterThanOrEqual(many.length);
    expect(restrained(step, { ...canaryV2, weight: 50 }).looks).toBeLessThan(few);
    expect(restrained(step, { ...canaryV2, weight: 50 }).sent.plan).toBe(step);
    const lost = objectKey('team-a', 'other-7');
    had.set(lost, anAdapterState('another', '', 'Stored'));
    const { looks: again, sent } = restrained(step);
    expect(again).toBeGreaterThanOrEqual(many.length);
    expect(sent.plan.get(`AdapterSpec ${lost}`)).toMatchObject({ body: { tier: 'None' } });
    expect(restrained(step).looks).toBeLessThan(few);
    looks.mockRestore();
  });
});

/** The next version of a plan, which shares with it what did not change. */
const changedView = (before: ViewPlan, plan: Plan): ViewPlan => {
  const { base } = selectionOf(plan, []);
  const changed = [...plan].filter(([key, { version }]) => before.get(key)?.version !== version);
  return before.with(new Map(changed.map(([key, resource]) => [key, { resource, isSent: base.has(key) }])));
};
