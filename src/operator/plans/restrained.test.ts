import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import type { AdapterObject, RolloutObject } from '../../api/objects.ts';
import type { BoundAdapter, RolloutStatus } from '../../api/rollout-status.ts';
import { noRevision } from '../../control/revision.ts';
import { Sender } from '../../control/sender.ts';
import { compilePlan } from '../../plan/compile.ts';
import { anAdapter, aRollout, aStatus } from '../../plan/manifests.fixture.ts';
import { type Plan, resourceKey, type SplitResource, type Versioned } from '../../plan/resources.ts';
import { seedOf } from '../../rollout/splitter.ts';
import type { AdapterState, RolloutState } from '../fleet/fleet.ts';
import type { Restraint } from '../objects/restraint.ts';
import { anAdapterState, aRolloutState } from '../testing/fake-fleet.ts';
import { planWhenCordoned } from './when-cordoned.ts';
import { planWhenHeld } from './when-held.ts';

const names = ['v1', 'v2', 'v3', 'v4'] as const;
const sql = objectKey('team-a', 'sql');
const runtime = { key: 'edge/a', labels: {} };
const bound = (adapter: string): BoundAdapter => ({
  adapter,
  uid: `Adapter-team-a-${adapter}`,
  digest: fakeDigest(adapter.slice(-1)),
});
const adapters: AdapterObject[] = names.map((name) => anAdapter({ name }, { digest: bound(name).digest }));

type Change = {
  readonly stable?: string | undefined;
  readonly canary?: string | undefined;
  readonly weight?: number | undefined;
  readonly history?: readonly string[] | undefined;
  readonly aborted?: boolean | undefined;
  readonly completion?: RolloutStatus['completionStatus'] | undefined;
};
const rolloutOf = ({
  stable,
  canary,
  weight = 0,
  history = [],
  aborted,
  completion,
}: Change): RolloutObject => {
  const of = canary === undefined ? undefined : bound(canary);
  return aRollout(
    { name: 'sql' },
    { adapter: canary ?? stable ?? 'v1' },
    aStatus({
      ...(stable === undefined ? {} : { stable: bound(stable) }),
      ...(of === undefined
        ? {}
        : { canary: { ...of, seed: seedOf('team-a', 'sql', of.digest), attempt: 1 } }),
      history: history.map(bound),
      weights: { canary: aborted === true ? 0 : weight, stable: 100 - weight },
      ...(aborted === true && of !== undefined
        ? { abort: { at: '2026-01-01T00:00:00Z', reason: 'x', uid: of.uid, digest: of.digest } }
        : {}),
      ...(completion === undefined ? {} : { completionStatus: completion }),
    }),
  );
};

/** A runtime that does what it is sent, at once, through the sender that the operator has for it. */
class Node {
  readonly #sender = new Sender({ held: new Map(), revision: noRevision, subscriptions: [] });
  readonly resources = new Map<string, Versioned>();
  restraint: Restraint | undefined;

  get state(): { adapters: Map<typeof sql, AdapterState>; rollouts: Map<typeof sql, RolloutState> } {
    const had = new Map<typeof sql, AdapterState>();
    const rollouts = new Map<typeof sql, RolloutState>();
    for (const one of this.resources.values()) {
      if (one.type === 'AdapterSpec') {
        const state = { Memory: 'Resident', Disk: 'Stored', None: 'Remote' }[one.body.tier];
        had.set(one.name, anAdapterState(one.body.uid, one.body.digest ?? '', state));
      }
      if (one.type !== 'Split') continue;
      const { uid, stable, canary, weight } = one.body;
      const digests = { stableDigest: stable?.digest ?? '', canaryDigest: canary?.digest ?? '' } as const;
      rollouts.set(one.name, aRolloutState(uid, { ...digests, attempt: canary?.attempt ?? 0, weight }));
    }
    return { adapters: had, rollouts };
  }
  get split(): SplitResource['body'] | undefined {
    const split = this.resources.get(`Split ${sql}`);
    return split?.type === 'Split' ? split.body : undefined;
  }
  /** `stable canary@weight`. */
  get serves(): string {
    const { stable, canary, weight } = this.split ?? {};
    return `${stable?.adapter ?? 'nothing'}${canary === undefined ? '' : ` ${canary.adapter}@${weight}`}`;
  }
  get has(): string[] {
    const { adapters: had } = this.state;
    return [...had]
      .filter(([, { state }]) => state !== 'Remote')
      .map(([key]) => key.slice('team-a/'.length))
      .sort();
  }

  follow(rollout: RolloutObject, objects = adapters): this {
    const { plan } = compilePlan({
      manifests: [...objects, rollout],
      runtime: { ...runtime, baseModel: 'tiny' },
    });
    // Until nothing more comes: what it has may let more through.
    for (let turn = 0; turn < 5; turn++) {
      const batch = this.#sender.next({
        ...this.#restrained(plan, rollout),
        revision: noRevision,
        mayRemove: () => true,
        confirmedRemovals: '',
      });
      if (batch === undefined) return this;
      for (const one of batch.puts) this.resources.set(resourceKey(one), one);
      for (const key of batch.removes) this.resources.delete(key);
      this.#sender.acknowledged(batch.commit.nonce, []);
    }
    throw new Error('there is always something more to send');
  }

  #restrained(plan: Plan, rollout: RolloutObject) {
    const input = { plan, withheld: new Set<string>(), state: this.state, runtime, rolloutOf: () => rollout };
    if (this.restraint === undefined) return { plan, withheld: input.withheld };
    return this.restraint === 'Held' ? planWhenHeld(input) : planWhenCordoned(input);
  }
}

/** A runtime that followed a status and was restrained then. */
const restrained = (restraint: Restraint, change: Change): Node => {
  const node = new Node().follow(rolloutOf(change));
  node.restraint = restraint;
  return node;
};
const onV1: Change = { stable: 'v1' };
const canaryV2: Change = { stable: 'v1', canary: 'v2', weight: 20 };

describe('a cordoned runtime', () => {
  it.each<[string, Change, Change, string]>([
    ['gets no canary', onV1, canaryV2, 'v1'],
    ['stays on what it has when the canary becomes stable', onV1, { stable: 'v2', history: ['v1'] }, 'v1'],
    ['gets the weights of a canary that it has', canaryV2, { ...canaryV2, weight: 50 }, 'v1 v2@50'],
    ['has a canary that it has become stable', canaryV2, { stable: 'v2', history: ['v1'] }, 'v2'],
    ['takes an abort', canaryV2, { ...canaryV2, aborted: true }, 'v1 v2@0'],
    ['drops a canary that another one replaced', canaryV2, { ...canaryV2, canary: 'v3' }, 'v1'],
    ['drops a canary that was given up while it was away', canaryV2, { stable: 'v3', history: ['v1'] }, 'v1'],
    [
      'goes back with a rollback',
      { stable: 'v2', history: ['v1'] },
      { stable: 'v1', canary: 'v2', aborted: true },
      'v1 v2@0',
    ],
    [
      'gets a canary that it has on its disk',
      { stable: 'v2', history: ['v1'] },
      { stable: 'v2', canary: 'v1', weight: 10, history: ['v1'] },
      'v2 v1@10',
    ],
    [
      'keeps what it serves when no status names that any more',
      onV1,
      { stable: 'v3', history: ['v2'] },
      'v1',
    ],
  ])('%s', (_, before, after, serves) => {
    const node = restrained('Cordoned', before);
    const { has } = node;
    expect(node.follow(rolloutOf(after)).serves).toBe(serves);
    expect(has).toEqual(expect.arrayContaining(node.has));
  });

  it('keeps what it serves in RAM, also where it is a former stable elsewhere', () => {
    const node = restrained('Cordoned', onV1).follow(rolloutOf({ stable: 'v2', history: ['v1'] }));
    expect(node.resources.get('AdapterSpec team-a/v1')).toMatchObject({
      body: { tier: 'Memory', held: true },
    });
  });

  it('says what is missing to requests for a rollout of which it has nothing', () => {
    const node = new Node();
    node.restraint = 'Cordoned';
    node.follow(rolloutOf(onV1));
    expect(node.has).toEqual([]);
    expect(node.split?.message).toBe(
      'AdapterRollout team-a/sql has nothing here: this runtime is cordoned and has none of its adapters',
    );
  });

  it('catches up when it is released', () => {
    const node = restrained('Cordoned', onV1).follow(rolloutOf({ stable: 'v2', history: ['v1'] }));
    node.restraint = undefined;
    expect(node.follow(rolloutOf({ stable: 'v2', history: ['v1'] })).serves).toBe('v2');
  });
});

describe('a held runtime', () => {
  it.each<[string, Change, Change, string]>([
    ['gets no canary', onV1, canaryV2, 'v1'],
    ['stays on stable', onV1, { stable: 'v2', history: ['v1'] }, 'v1'],
    ['keeps the weight of its canary', canaryV2, { ...canaryV2, weight: 50 }, 'v1 v2@20'],
    [
      'keeps its canary at its weight when it becomes stable',
      canaryV2,
      { stable: 'v2', history: ['v1'] },
      'v1 v2@20',
    ],
    ['takes an abort', canaryV2, { ...canaryV2, aborted: true }, 'v1'],
    ['drops a canary that another one replaced', canaryV2, { ...canaryV2, canary: 'v3' }, 'v1'],
    ['drops a canary that was given up while it was away', canaryV2, { stable: 'v3', history: ['v1'] }, 'v1'],
    [
      'drops it also where its stable is in no status any more',
      canaryV2,
      { stable: 'v4', history: ['v3'] },
      'v1',
    ],
    [
      'goes back with a rollback by hand',
      { stable: 'v2', history: ['v1'] },
      { stable: 'v1', canary: 'v2', aborted: true },
      'v1',
    ],
    [
      'goes back with a rollback by the spec',
      { stable: 'v2', history: ['v1'] },
      { stable: 'v1', history: ['v2'], completion: 'FastRolledBack' },
      'v1',
    ],
    [
      'does not go to a stable that it never had, whatever was given up',
      onV1,
      { stable: 'v2', canary: 'v1', aborted: true },
      'v1',
    ],
    [
      'stays when what it has comes again as a canary elsewhere',
      { stable: 'v2', history: ['v1'] },
      { stable: 'v3', canary: 'v2', weight: 10, history: ['v2'] },
      'v2',
    ],
  ])('%s', (_, before, after, serves) => {
    const node = restrained('Held', before);
    const { has } = node;
    expect(node.follow(rolloutOf(after)).serves).toBe(serves);
    expect(node.has).toEqual(has);
  });

  it('keeps what was deleted until it is released', () => {
    const node = restrained('Held', onV1);
    const before = new Map(node.resources);
    const gone = aRollout({ name: 'other' }, { adapter: 'v1' });
    expect(node.follow(gone, []).resources).toEqual(before);
  });
});

/** A status as one decision may leave it, of the one before. */
const changes = fc.record({
  stable: fc.constantFrom(...names),
  canary: fc.option(fc.constantFrom(...names), { nil: undefined }),
  weight: fc.constantFrom(0, 20, 100),
  history: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 2 }),
  aborted: fc.boolean(),
  completion: fc.constantFrom(undefined, 'Promoted' as const, 'FastRolledBack' as const),
});
const life = fc.array(fc.tuple(changes, fc.constantFrom(undefined, 'Cordoned' as const, 'Held' as const)), {
  minLength: 1,
  maxLength: 12,
});

describe('whatever happens to a rollout', () => {
  it('a restrained runtime gets no adapter, no canary and no stable that it did not have', () => {
    fc.assert(
      fc.property(life, (turns) => {
        const node = new Node();
        for (const [change, restraint] of turns) {
          node.restraint = restraint;
          const [had, split] = [node.has, node.split];
          node.follow(
            rolloutOf({ ...change, canary: change.canary === change.stable ? undefined : change.canary }),
          );
          if (restraint === undefined) continue;
          expect(had).toEqual(expect.arrayContaining(node.has));
          const now = node.split;
          if (split?.stable !== undefined) expect(now?.stable).toBeDefined();
          for (const arm of [now?.stable, now?.canary].filter((one) => one !== undefined))
            expect(had).toContain(arm.adapter);
          if (restraint === 'Cordoned' || now?.canary === undefined) continue;
          expect(now.canary).toEqual(split?.canary);
          expect(now.weight).toBe(split?.weight);
        }
      }),
    );
  });

  it('a runtime that is released ends where one is that never was restrained', () => {
    fc.assert(
      fc.property(life, changes, (turns, last) => {
        const node = new Node();
        for (const [change, restraint] of turns) {
          node.restraint = restraint;
          node.follow(rolloutOf(change));
        }
        node.restraint = undefined;
        node.follow(rolloutOf(last));
        expect(node.resources).toEqual(new Node().follow(rolloutOf(last)).resources);
      }),
    );
  });
});
