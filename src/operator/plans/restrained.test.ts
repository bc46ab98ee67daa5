import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { compilePlan } from '../../plan/compile.ts';
import { aRollout } from '../../plan/manifests.fixture.ts';
import type { Restraint } from '../objects/restraint.ts';
import { anAdapterState, aRolloutState } from '../testing/fake-fleet.ts';
import {
  adapters,
  bound,
  type Change,
  canaryV2,
  changes,
  Node,
  onV1,
  rolloutOf,
  runtime,
  sql,
} from './restrained.fixture.ts';
import { takenBack } from './restrained.ts';
import { planWhenCordoned } from './when-cordoned.ts';

/** A runtime that followed a status and was restrained then. */
const restrained = (restraint: Restraint, change: Change): Node => {
  const node = new Node().follow(rolloutOf(change));
  node.restraint = restraint;
  return node;
};
describe('the version that a restrained runtime goes back to by hand', () => {
  const onV2: Change = { stable: 'v2', history: ['v1', 'v4'] };
  const back: Change = { stable: 'v1', history: ['v2', 'v4'], completion: 'FastRolledBack' };
  it.each<[Restraint, Change]>([
    ['Held', back],
    ['Cordoned', { ...back, canary: 'v3', weight: 10 }],
  ])('is none that a rollback took away: %s', (restraint, after) => {
    const node = restrained(restraint, onV2).follow(rolloutOf(after));
    expect(node.serves).toBe('v1');
    expect(node.split?.former?.adapter).toBe('v4');
  });

  it('is the one before where nothing was rolled back', () => {
    const node = restrained('Cordoned', onV2).follow(rolloutOf({ ...onV2, canary: 'v3', weight: 10 }));
    expect([node.serves, node.split?.former?.adapter]).toEqual(['v2', 'v1']);
  });
});

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

  it.each<[string, Change, Change, string]>([
    ['by hand', { stable: 'v2' }, { stable: 'v1', canary: 'v2', aborted: true }, 'v1 v2@0'],
    ['by the spec', { stable: 'v2' }, { stable: 'v1', history: ['v2'], completion: 'FastRolledBack' }, 'v1'],
    [
      'by hand, where it has an older one',
      { stable: 'v2', history: ['v4'] },
      { stable: 'v1', canary: 'v2', aborted: true, history: ['v4'] },
      'v4',
    ],
    [
      'by the spec, where it has an older one',
      { stable: 'v2', history: ['v4'] },
      { stable: 'v1', history: ['v2', 'v4'], completion: 'FastRolledBack' },
      'v4',
    ],
  ])('that never had the version before does not go on with what a rollback took away: %s', (_, ...of) => {
    const [before, after, serves] = of;
    const node = restrained('Cordoned', before).follow(rolloutOf(after));
    expect(node.serves).toBe(serves);
    // And with the next one nothing new comes.
    const next = { ...after, completion: undefined, aborted: false, canary: 'v3', weight: 20 };
    expect(node.follow(rolloutOf(next)).serves).toBe(serves.split(' ')[0]);
    expect(node.has).not.toContain('v3');
  });

  it('goes on with the stable of a rollback that it was told of, and has not begun with', () => {
    const rollout = rolloutOf({ stable: 'v1', history: ['v2'], completion: 'FastRolledBack' });
    const { plan } = compilePlan({
      manifests: [...adapters, rollout],
      runtime: { ...runtime, baseModel: 'tiny' },
    });
    const { uid, digest } = bound('v1');
    const state = {
      adapters: new Map([
        [objectKey('team-a', 'v1'), anAdapterState(uid, digest, 'Remote')],
        [objectKey('team-a', 'v2'), anAdapterState(bound('v2').uid, bound('v2').digest, 'Resident')],
      ]),
      rollouts: new Map([[sql, aRolloutState(rollout.metadata.uid, { stableDigest: digest })]]),
    };
    const input = {
      plan,
      withheld: new Set<string>(),
      state,
      runtime,
      versionOf: () => undefined,
      adapterOf: () => undefined,
    };
    const sent = planWhenCordoned({ ...input, rolloutOf: () => rollout });
    expect([...sent.withheld]).toEqual([]);
    expect(sent.plan.get('AdapterSpec team-a/v1')).toMatchObject({ body: { tier: 'Memory', held: true } });
    expect(sent.plan.get(`Split ${sql}`)).toMatchObject({ body: { stable: { adapter: 'v1' } } });
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

const life = fc.array(fc.tuple(changes, fc.constantFrom(undefined, 'Cordoned' as const, 'Held' as const)), {
  minLength: 1,
  maxLength: 12,
});

describe('whatever happens to a rollout', () => {
  it('a restrained runtime gets no adapter, no canary and no stable that it did not have, but for that of a rollback', () => {
    fc.assert(
      fc.property(life, (turns) => {
        const node = new Node();
        for (const [change, restraint] of turns) {
          node.restraint = restraint;
          const [had, split] = [node.has, node.split];
          const rollout = rolloutOf({
            ...change,
            canary: change.canary === change.stable ? undefined : change.canary,
          });
          node.follow(rollout);
          if (restraint === undefined) continue;
          const away = takenBack(rollout);
          if (restraint === 'Cordoned') {
            expect(away.has(node.split?.stable?.digest ?? '')).toBe(false);
            if (away.has(split?.stable?.digest ?? '')) had.push(change.stable);
          }
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
