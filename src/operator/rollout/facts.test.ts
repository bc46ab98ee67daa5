import { describe, expect, it } from 'vitest';
import { aRolloutState, runtimeKey } from '../testing/fake-fleet.ts';
import { attemptOf } from './attempt.ts';
import { factsOf } from './facts.ts';
import { observe } from './observe.ts';
import { type RolloutView, viewOf } from './view.ts';
import { digestOf, RolloutWorld, rolloutUid, sql, steps, underWay } from './world.fixture.ts';

const viewIn = (world: RolloutWorld): RolloutView => {
  const rollout = world.cluster.rollouts.get(sql)?.object;
  if (rollout === undefined) throw new Error('no rollout');
  return viewOf({
    rollout,
    objects: world.cluster,
    presences: world.parts.presences,
    nameConflict: undefined,
    verdicts: { of: () => undefined },
    signatures: { of: () => undefined },
  });
};
const targetIn = (world: RolloutWorld, retrying = false) => {
  const view = viewIn(world);
  return factsOf(view, attemptOf(view.rollout.status, retrying)).target;
};
const first = (...runtimes: string[]) =>
  new RolloutWorld(...runtimes).adapter('v1').spec({ adapter: 'v1', ...steps(10) });

describe('the target of a rollout', () => {
  it('is Resident also where it takes turns in RAM with others', () => {
    const world = first('a', 'b').state('v1', 'Resident', ['a']).state('v1', 'Compiled', ['b']);
    expect(targetIn(world)?.state).toBe('Pending');
    expect(targetIn(world.state('v1', 'Compiled', ['b'], { inTurn: true }))?.state).toBe('Resident');
  });

  it('is Resident when every runtime has it Resident', () => {
    expect(targetIn(first('a', 'b').state('v1', 'Resident'))).toMatchObject({
      state: 'Resident',
      message: '',
    });
  });

  it('is Pending with the count and three of the runtimes that miss it', () => {
    const world = first('a', 'b', 'c', 'd', 'e')
      .state('v1', 'Resident', ['a'])
      .state('v1', 'Fetching', ['b']);
    world.state('v1', 'Failed', ['c'], { reason: 'REGISTRY_UNAVAILABLE', message: 'no answer' });
    expect(targetIn(world)).toMatchObject({
      state: 'Pending',
      reason: 'RuntimesNotReady',
      message:
        '1 of 5 runtimes are ready; not edge/b (Fetching), edge/c (REGISTRY_UNAVAILABLE: no answer), edge/d (does not know it yet) and 1 more',
    });
  });

  it('counts the connected runtimes and those that are ready, without those that are offline', () => {
    const world = first('a', 'b', 'c').state('v1', 'Resident', ['a']);
    expect(targetIn(world)?.runtimes).toEqual({ ready: 1, connected: 3 });
    expect(targetIn(world.leave('c'))?.runtimes).toEqual({ ready: 1, connected: 2 });
    expect(targetIn(world.state('v1', 'Resident', ['b']))).toMatchObject({
      state: 'Resident',
      runtimes: { ready: 2, connected: 2 },
    });
    expect(targetIn(first('a').leave('a'))?.runtimes).toEqual({ ready: 0, connected: 0 });
  });

  it('is Failed as soon as one runtime refuses it for good', () => {
    const world = first('a', 'b').state('v1', 'Resident', ['a']);
    world.state('v1', 'Failed', ['b'], { reason: 'ADAPTER_SHAPE', message: 'q_proj', isFinal: true });
    expect(targetIn(world)).toMatchObject({
      state: 'Failed',
      reason: 'ADAPTER_SHAPE',
      message: 'on edge/b: q_proj',
    });
  });

  it('is Pending without a runtime, and says which would do', () => {
    const world = first().spec({ adapter: 'v1', runtimeSelector: { matchLabels: { zone: 'north' } } });
    expect(targetIn(world)).toMatchObject({
      state: 'Pending',
      reason: 'NoRuntime',
      message: 'no runtime with the base model tiny and the labels zone=north is connected',
    });
  });

  it('counts only runtimes that the selector wants', () => {
    const world = first()
      .join('a', { zone: 'north' })
      .join('b', { zone: 'south' })
      .state('v1', 'Resident', ['a']);
    world.spec({ adapter: 'v1', runtimeSelector: { matchLabels: { zone: 'north' } } });
    expect(targetIn(world)).toMatchObject({ state: 'Resident' });
    expect(viewIn(world).members).toHaveLength(1);
  });

  it('does not count runtimes of another base model', () => {
    const world = first('a', 'b').state('v1', 'Resident', ['a']);
    const info = world.fleet.get(runtimeKey('b'))?.info;
    if (info !== undefined) world.fleet.report(runtimeKey('b'), { info: { ...info, baseModel: 'other' } });
    expect(targetIn(world)).toMatchObject({ state: 'Resident' });
  });

  it('ignores what a runtime has of a former object of the name, and of another digest', () => {
    const world = first('a').state('v1', 'Resident', ['a'], { uid: 'former' });
    expect(targetIn(world)).toMatchObject({ state: 'Pending' });
    world.state('v1', 'Resident', ['a'], { digest: digestOf('v2') });
    expect(targetIn(world)).toMatchObject({ state: 'Pending' });
  });

  it('does not count a runtime that is not connected', () => {
    const world = first('a', 'b').state('v1', 'Resident', ['a']).leave('b');
    expect(targetIn(world)).toMatchObject({ state: 'Resident' });
    expect(viewIn(world).away).toHaveLength(1);
  });

  it('has no digest before the finalizer keeps it', () => {
    const world = first('a').adapter('v1', { kept: false }).state('v1', 'Resident');
    expect(targetIn(world)).toMatchObject({ digest: undefined, reason: 'NotProtected' });
  });
});

describe('a canary under way', () => {
  it('fails by a report of its attempt, not by one of an attempt before', async () => {
    const world = await underWay('a', 'b');
    world.state('v2', 'Failed', ['b'], { reason: 'ADAPTER_NO_EFFECT', isFinal: true });
    expect(targetIn(world)).toMatchObject({ state: 'Failed' });
    expect(targetIn(world, true)).toMatchObject({ state: 'Pending' });
  });

  it('does not fail by a runtime that still follows another canary', async () => {
    const world = await underWay('a', 'b');
    world.sync(['b'], { canaryDigest: digestOf('v3') });
    world.state('v2', 'Failed', ['b'], { reason: 'ADAPTER_NO_EFFECT', isFinal: true });
    expect(targetIn(world)).toMatchObject({ state: 'Pending' });
  });

  it.each([
    ['a guard that tripped', 'Guard', 1],
    ['a rollback by hand on one node', 'BreakGlass', 0],
  ] as const)('is held back by %s: %s counts %i times', async (_, cause, facts) => {
    const world = (await underWay('a', 'b')).hold('b', cause);
    const view = viewIn(world);
    const attempt = attemptOf(view.rollout.status, false);
    expect(factsOf(view, attempt).held).toHaveLength(facts);
    expect(observe(view, world.status).runtimes.held).toBe(1);
  });

  it('is not held back by what a former attempt or another canary left', async () => {
    const world = await underWay('a', 'b');
    const hold = { digest: digestOf('v2'), cause: 'Guard', reason: 'errors', attempt: 1 } as const;
    world.sync(['a'], { attempt: 0, holds: [hold] });
    world.sync(['b'], { holds: [{ ...hold, digest: digestOf('v1') }] });
    expect(factsOf(viewIn(world), attemptOf(world.status, false)).held).toEqual([]);
  });
});

describe('stable', () => {
  it('fails where its guard tripped, and not where a person rolled it back', async () => {
    const world = await underWay('a', 'b');
    const hold = { digest: digestOf('v1'), reason: '5 errors', attempt: 0 } as const;
    world.sync(['a'], { holds: [{ ...hold, cause: 'BreakGlass' }] });
    expect(factsOf(viewIn(world), undefined).stableFails).toBeUndefined();
    world.sync(['b'], { holds: [{ ...hold, cause: 'Guard' }] });
    expect(factsOf(viewIn(world), undefined).stableFails).toMatch(/^v1 fails on .*b: 5 errors$/);
  });
});

describe('what is observed', () => {
  it('counts runtimes by what they follow', async () => {
    const world = (await underWay('a', 'b', 'c', 'd')).hold('b', 'BreakGlass').leave('d');
    world.sync(['c'], { weight: 5 }).state('v2', 'Fetching', ['c']);
    expect(observe(viewIn(world), world.status).runtimes).toEqual({
      desired: 3,
      updated: 2,
      ready: 2,
      failed: 0,
      held: 1,
      offline: 1,
    });
  });

  it('counts a runtime that holds stable back, which decides nothing about the canary', async () => {
    const world = await underWay('a', 'b');
    world.sync(['b'], {
      holds: [{ digest: digestOf('v1'), cause: 'Guard', reason: 'errors', attempt: 1 }],
    });
    expect(observe(viewIn(world), world.status).runtimes.held).toBe(1);
    expect(factsOf(viewIn(world), attemptOf(world.status, false)).held).toEqual([]);
  });

  it('sums the requests of the runtimes that report this canary at this weight', async () => {
    const world = (await underWay('a', 'b', 'c')).served('a', 90, 10).served('b', 60, 40).served('c', 0, 500);
    world.sync(['c'], { weight: 50, served: { stable: 0, canary: 500 } });
    expect(observe(viewIn(world), world.status).observedCanary).toBe(25);
  });

  it('has no share without a request, and keeps the former one until it is a whole point away', async () => {
    const world = await underWay('a');
    expect(observe(viewIn(world), world.status).observedCanary).toBeUndefined();
    const withFormer = (canary: number): number | undefined => {
      world.served('a', 1000 - canary, canary);
      const view = viewIn(world);
      const { status, ...rollout } = view.rollout;
      if (status === undefined) throw new Error('no status');
      const former = { ...status, weights: { ...status.weights, observedCanary: 10 } };
      return observe({ ...view, rollout: { ...rollout, status: former } }, former).observedCanary;
    };
    expect([105, 109, 110, 91, 90].map(withFormer)).toEqual([10, 10, 11, 10, 9]);
  });

  it('takes a rollout with another uid for another rollout', async () => {
    const world = await underWay('a');
    const report = aRolloutState(`${rolloutUid}-former`, {
      canaryDigest: digestOf('v2'),
      attempt: 1,
      weight: 10,
    });
    world.fleet.report(runtimeKey('a'), { rollouts: new Map([[sql, report]]) });
    expect(observe(viewIn(world), world.status).runtimes.updated).toBe(0);
  });
});
