import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { conditionOf } from '../api/condition.ts';
import { fakeDigest } from '../api/names.fixture.ts';
import { type BlueGreen, type Step } from '../api/rollout.ts';
import { type RolloutStatus, rolloutStatusSchema } from '../api/rollout-status.ts';
import type { Decision } from './decide.ts';
import { sameAdapter } from './draft.ts';
import type { AdapterFact } from './facts.ts';
import { stepsOf } from './strategy.ts';
import { DecisionWorld } from './world.fixture.ts';

const names = ['v1', 'v2', 'v3', 'v4'] as const;
const name = fc.constantFrom(...names);

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.integer({ min: 0, max: 100 }).map((setWeight) => ({ setWeight })),
  fc.constantFrom('1s', '1m', '1h').map((duration) => ({ pause: { duration } })),
  fc.constant({ pause: {} }),
  fc.constantFrom(0, 10, 100).map((percentage) => ({ setMirrorRoute: { percentage } })),
  fc.constantFrom('50%', '100%').map((successThreshold) => ({ preload: { successThreshold } })),
);
const steps = fc.array(step, { maxLength: 4 });
const blueGreen = fc.constantFrom<Partial<BlueGreen> | undefined>(
  {},
  { autoPromotion: false },
  { autoPromotionAfter: '1m' },
  undefined,
);

/** Something that happens to the world; several may happen between two decisions. */
type Happening =
  | { do: 'name'; name: string }
  | { do: 'state'; name: string; state: AdapterFact['state'] }
  | { do: 'forget'; name: string }
  | { do: 'remove'; name: string }
  | { do: 'recreate'; name: string; uid: string }
  | { do: 'ready'; name: string; ready: number }
  | { do: 'steps'; steps: readonly Step[] }
  | { do: 'blueGreen'; blueGreen: Partial<BlueGreen> | undefined }
  | { do: 'deadline'; abortOnDeadline: boolean }
  | { do: 'paused'; paused: boolean }
  | { do: 'hold'; name: string }
  | { do: 'release' }
  | { do: 'restart' };

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('name'), name }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('state'),
      name,
      state: fc.constantFrom('Pending', 'Resident', 'Resident', 'Failed'),
    }),
  },
  fc.record({ do: fc.constant('forget'), name }),
  fc.record({ do: fc.constant('remove'), name }),
  fc.record({ do: fc.constant('recreate'), name, uid: fc.constantFrom('x', 'y') }),
  fc.record({ do: fc.constant('ready'), name, ready: fc.integer({ min: 0, max: 4 }) }),
  fc.record({ do: fc.constant('steps'), steps }),
  fc.record({ do: fc.constant('blueGreen'), blueGreen }),
  fc.record({ do: fc.constant('deadline'), abortOnDeadline: fc.boolean() }),
  fc.record({ do: fc.constant('paused'), paused: fc.boolean() }),
  fc.record({ do: fc.constant('hold'), name }),
  fc.record({ do: fc.constant('release') }),
  fc.record({ do: fc.constant('restart') }),
) as fc.Arbitrary<Happening>;

const turn = fc.record({
  happenings: fc.array(happening, { maxLength: 3 }),
  elapsedMs: fc.constantFrom(0, 1, 900, 30_000, 3_600_000),
  verb: fc.option(fc.constantFrom('promote', 'promote-full', 'abort', 'rollback', 'retry', 'dance'), {
    nil: undefined,
    freq: 3,
  }),
});
type Turn = typeof turn extends fc.Arbitrary<infer T> ? T : never;

const happen = (world: DecisionWorld, what: Happening): void => {
  switch (what.do) {
    case 'name':
      world.edit({ adapter: what.name });
      return;
    case 'state':
      world.adapter(what.name, { state: what.state, reason: what.state });
      return;
    case 'forget':
      world.adapter(what.name, { digest: undefined, state: 'Pending' });
      return;
    case 'remove':
      world.adapters.delete(what.name);
      return;
    case 'recreate':
      world.adapter(what.name, { uid: `${what.name}-${what.uid}`, digest: fakeDigest(what.name.slice(1)) });
      return;
    case 'ready':
      // Four runtimes: fewer than all are not Resident as a whole.
      world.adapter(what.name, {
        state: what.ready === 4 ? 'Resident' : 'Pending',
        runtimes: { ready: what.ready, connected: 4 },
      });
      return;
    case 'blueGreen':
      world.edit({ blueGreen: what.blueGreen });
      return;
    case 'deadline':
      world.edit({ abortOnDeadline: what.abortOnDeadline });
      return;
    case 'steps':
      world.edit({ steps: what.steps });
      return;
    case 'paused':
      world.edit({ paused: what.paused });
      return;
    case 'hold':
      world.hold(what.name);
      return;
    case 'release':
      world.held = [];
      return;
    case 'restart':
      world.status = world.status && rolloutStatusSchema.parse(JSON.parse(JSON.stringify(world.status)));
  }
};

const take = (world: DecisionWorld, { happenings, elapsedMs, verb }: Turn): Decision => {
  for (const what of happenings) happen(world, what);
  return world.decide({ elapsedMs, ...(verb === undefined ? {} : { verb }) });
};

/** Resident everywhere, or on half of the runtimes where a step is content with that. */
const isEnough = (world: DecisionWorld, adapter: string): boolean => {
  const { state, runtimes } = world.adapters.get(adapter) ?? {};
  const least = stepsOf(world.spec.strategy).some((one) => one.preload?.successThreshold === '50%') ? 2 : 4;
  return state === 'Resident' || (state === 'Pending' && (runtimes?.ready ?? 0) >= least);
};

/** What must hold after every decision, whatever came before. */
const check = (
  world: DecisionWorld,
  before: RolloutStatus | undefined,
  { status, events, requeueAfterMs }: Decision,
  verb: string | undefined,
): void => {
  rolloutStatusSchema.parse(status);
  const { stable, canary, weights, abort, history, phase } = status;
  expect(weights.canary + weights.stable).toBe(100);
  if (weights.canary > 0)
    expect(canary !== undefined && abort === undefined && stable !== undefined).toBe(true);
  if (weights.mirror !== undefined)
    expect(canary !== undefined && abort === undefined && stable !== undefined).toBe(true);
  if (canary !== undefined) expect(sameAdapter(canary, stable)).toBe(false);
  expect(status.step === undefined).toBe(canary === undefined);
  if (canary !== undefined && !sameAdapter(canary, before?.canary)) {
    // A new canary meets nobody before it is Resident.
    if (!isEnough(world, canary.adapter)) expect([weights.canary, weights.mirror]).toEqual([0, undefined]);
  }
  if (abort !== undefined) expect([phase, weights.canary]).toEqual(['Degraded', 0]);
  if (phase === 'Healthy') expect([stable !== undefined, canary]).toEqual([true, undefined]);
  if (requeueAfterMs !== undefined) expect(requeueAfterMs).toBeGreaterThan(0);
  // Time is counted for nothing but a wait, and a deadline that has passed is told as long as the wait lasts.
  const why = conditionOf(status.conditions, 'Progressing')?.reason;
  const waits = phase === 'Progressing' || why === 'ProgressDeadlineExceeded';
  expect(status.progress !== undefined).toBe(waits);
  if (waits) expect((status.progress?.waitedMs ?? 0) >= 600_000).toBe(why === 'ProgressDeadlineExceeded');
  expect(history.length).toBeLessThanOrEqual(world.spec.revisionHistoryLimit);
  expect(new Set(history.map((h) => `${h.uid} ${h.digest}`)).size).toBe(history.length);
  expect(history.some((h) => sameAdapter(h, stable))).toBe(false);

  const grown = status.revision - (before?.revision ?? 0);
  expect([0, 1]).toContain(grown);
  if (grown === 0) expect(events).toEqual([]);
  const { attempts = 0 } = status;
  expect(attempts).toBeGreaterThanOrEqual(before?.attempts ?? 0);
  if (canary !== undefined) expect(canary.attempt).toBe(attempts);
  if (canary !== undefined && !sameAdapter(canary, before?.canary))
    expect(canary.attempt).toBeGreaterThan(before?.attempts ?? 0);
  // A canary that stays bound, or is promoted, starts another attempt only when it is tried again after it was given up.
  const went = canary ?? stable;
  if (before?.canary !== undefined && went !== undefined && sameAdapter(before.canary, went)) {
    const isRetried = verb === 'retry' && before.abort !== undefined;
    expect(attempts).toBe((before.attempts ?? 0) + (isRetried ? 1 : 0));
  }
  // A hold of the last attempt counts, one of an earlier attempt does not. A retry may have begun one in this decision.
  const isHeld = (bound: { digest: string } | undefined): boolean =>
    world.held.some((held) => held.digest === bound?.digest && held.attempt >= attempts);
  if (abort === undefined && canary !== undefined) expect(isHeld(canary)).toBe(false);

  if (before?.stable === undefined || sameAdapter(before.stable, stable)) return;
  if (verb === 'rollback' && before.canary === undefined) {
    // By hand, back to the stable before: what was rolled back is kept as a canary that was given up.
    expect(sameAdapter(before.history[0] ?? before.stable, stable)).toBe(true);
    // Unless both had the name in the spec and no object has it any more: then the spec means what is stable now.
    const isNamed = stable?.adapter === world.spec.adapter && !world.adapters.has(world.spec.adapter);
    if (isNamed) expect(canary).toBe(undefined);
    else expect(canary !== undefined && sameAdapter(before.stable, canary) && abort !== undefined).toBe(true);
    return;
  }
  // Stable only ever changes to what the spec names and what can serve at this moment.
  const fact = world.adapters.get(world.spec.adapter);
  expect([stable?.adapter, stable?.uid]).toEqual([world.spec.adapter, fact?.uid]);
  expect(isEnough(world, world.spec.adapter)).toBe(true);
  expect(sameAdapter(before.stable, history[0])).toBe(true);
  expect(isHeld(stable)).toBe(false);
};

const story = fc.record({
  steps,
  /** Half of the stories begin with everything Resident, so that they get far. */
  isReady: fc.boolean(),
  turns: fc.array(turn, { maxLength: 25 }),
});
type Story = { readonly steps: readonly Step[]; readonly isReady: boolean };

const still: Turn = { happenings: [], elapsedMs: 0, verb: undefined };
/** The canary is held, and retried in the decision in which its steps are gone: promoted at once, in another attempt. */
const heldThenRetried = {
  steps: [{ pause: { duration: '1s' } }],
  isReady: true,
  turns: [
    still,
    { ...still, happenings: [{ do: 'name', name: 'v4' }] },
    { ...still, happenings: [{ do: 'hold', name: 'v4' }] },
    { ...still, happenings: [{ do: 'steps', steps: [] }], verb: 'retry' },
  ] satisfies Turn[],
};
/** All steps are skipped while the adapter is away; so the edit of the steps is seen only when it is back. */
const editedWhileAway = {
  steps: [{ pause: {} }],
  isReady: true,
  turns: [
    still,
    { ...still, happenings: [{ do: 'name', name: 'v4' }] },
    { ...still, happenings: [{ do: 'remove', name: 'v4' }] },
    { ...still, verb: 'promote-full' },
    { ...still, happenings: [{ do: 'steps', steps: [{ pause: {} }, { setWeight: 0 }] }] },
  ] satisfies Turn[],
};

const worldOf = ({ steps: first, isReady }: Story): DecisionWorld => {
  const world = new DecisionWorld(first);
  if (isReady) for (const each of names) world.adapter(each);
  return world;
};

describe('decide, whatever happens in whatever order', () => {
  it('keeps the invariants after every decision', () => {
    fc.assert(
      fc.property(story, ({ turns, ...start }) => {
        const world = worldOf(start);
        for (const one of turns) {
          const before = world.status;
          check(world, before, take(world, one), one.verb);
        }
      }),
      { numRuns: 500, examples: [[heldThenRetried]] },
    );
  });

  it('changes nothing when it decides again with the same facts', () => {
    fc.assert(
      fc.property(story, ({ turns, ...start }) => {
        const world = worldOf(start);
        for (const one of turns) {
          const { status } = take(world, one);
          const again = world.decide();
          expect(again.status).toBe(status);
          expect(again.events).toEqual([]);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('reaches weight 0 in the decision of an abort, and goes on with the same stable', () => {
    fc.assert(
      fc.property(story, ({ turns, ...start }) => {
        const world = worldOf(start);
        for (const one of turns) take(world, one);
        const before = world.status;
        const { status } = world.decide({ verb: 'abort' });
        expect(status.weights).toEqual({ canary: 0, stable: 100 });
        // Without a stable adapter there is nothing to abort, and the first one may just have become it.
        if (before?.stable !== undefined) expect(status.stable).toEqual(before.stable);
      }),
      { numRuns: 300 },
    );
  });

  it('ends with what the spec names once the facts are good and somebody promotes', () => {
    fc.assert(
      fc.property(story, ({ turns, ...start }) => {
        const world = worldOf(start);
        for (const one of turns) take(world, one);
        world.held = [];
        for (const each of names)
          world.adapter(each, { state: 'Resident', digest: fakeDigest(each.slice(1)) });
        world.edit({ paused: false }).decide({ verb: 'retry' });
        for (let i = 0; i < 14 && world.status?.phase !== 'Healthy'; i++) {
          const waits =
            world.status?.conditions.some(({ reason }) => reason === 'AwaitingPromotion') === true;
          world.decide({ elapsedMs: 3_600_000, ...(waits ? { verb: 'promote' } : {}) });
        }
        expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: world.spec.adapter } });
      }),
      { numRuns: 300 },
    );
  });

  it('gives the canary no weight that no step allowed, and takes back what it gave when it gives it up', () => {
    fc.assert(
      fc.property(story, ({ turns, ...start }) => {
        const world = worldOf(start);
        for (const one of turns) {
          const before = world.status;
          const { status } = take(world, one);
          const allowed = stepsOf(world.spec.strategy).flatMap(({ setWeight }) => setWeight ?? []);
          const { canary: weight } = status.weights;
          // A canary whose steps were edited while the spec names something else keeps the weight that it had.
          expect([0, before?.weights.canary ?? 0, ...allowed]).toContain(weight);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('promotes a canary that is ready in one decision when somebody asks for all of it', () => {
    fc.assert(
      fc.property(story, fc.option(steps, { nil: undefined }), ({ turns, ...start }, edited) => {
        const world = worldOf(start);
        for (const one of turns) take(world, one);
        const { canary, abort } = world.status ?? {};
        fc.pre(canary !== undefined && abort === undefined && canary.adapter === world.spec.adapter);
        world.held = [];
        // The steps may be edited since the decision before.
        world.edit({ paused: false, ...(edited && { steps: edited }) }).adapter(world.spec.adapter, {
          uid: canary?.uid ?? '',
          digest: canary?.digest,
          state: 'Resident',
        });
        const { status } = world.decide({ verb: 'promote-full' });
        expect(status).toMatchObject({ phase: 'Healthy', stable: { adapter: world.spec.adapter } });
      }),
      { numRuns: 300, examples: [[editedWhileAway, undefined]] },
    );
  });
});
