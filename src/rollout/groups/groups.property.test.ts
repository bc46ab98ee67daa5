import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rolloutStatusSchema } from '../../api/rollout-status.ts';
import { GroupWorld, minute } from './fleet.fixture.ts';

const first = Array.from({ length: 8 }, (_, i) => `n${i}`);
const node = fc.constantFrom(...first, 'late-1', 'late-2', 'late-3');
const behaviour = fc.constantFrom(
  'Good',
  'Good',
  'Good',
  'Slow',
  'Refuses',
  'Trips',
  'Dies',
  'ByHand' as const,
);

const group = fc.record(
  {
    limit: fc.constantFrom({ count: 1 }, { count: 3 }, { percentage: '25%' }),
    selector: fc.constantFrom({ matchLabels: {} }, { matchLabels: { site: 'lab' } }),
    maxConcurrency: fc.constant({ count: 1 }),
    maxUnavailable: fc.constant({ count: 1 }),
    successThreshold: fc.constantFrom('50%', '100%'),
    maxFailures: fc.constantFrom({ count: 1 }, { percentage: '50%' }),
    bakeTime: fc.constant('1m'),
    successAction: fc.constantFrom('Next', 'Pause'),
    errorAction: fc.constantFrom('Pause', 'RollbackGroup', 'RollbackAll'),
  },
  { requiredKeys: [] },
);
const groups = fc
  .array(group, { minLength: 1, maxLength: 3 })
  .map((list) => list.map((one, i) => ({ name: `g${i}`, ...one })));
const steps = fc.constantFrom(
  [],
  [{ setWeight: 20 }, { pause: {} }],
  [{ preload: {} }, { setWeight: 10 }, { pause: { duration: '1m' } }, { setWeight: 50 }, { pause: {} }],
);

type Happening =
  | { readonly do: 'leave' | 'back' | 'join'; readonly node: string }
  | {
      readonly do: 'behave';
      readonly node: string;
      readonly how: typeof behaviour extends fc.Arbitrary<infer T> ? T : never;
    }
  | { readonly do: 'follow' | 'restart' }
  | { readonly do: 'name'; readonly adapter: string }
  | {
      readonly do: 'groups';
      readonly groups: (typeof groups extends fc.Arbitrary<infer T> ? T : never) | undefined;
    }
  | { readonly do: 'paused'; readonly paused: boolean };

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('leave' as const), node }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('back' as const), node }) },
  fc.record({ do: fc.constant('join' as const), node }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('behave' as const), node, how: behaviour }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('follow' as const) }) },
  fc.record({ do: fc.constant('restart' as const) }),
  fc.record({ do: fc.constant('name' as const), adapter: fc.constantFrom('v1', 'v2', 'v3') }),
  fc.record({ do: fc.constant('groups' as const), groups: fc.option(groups, { nil: undefined }) }),
  fc.record({ do: fc.constant('paused' as const), paused: fc.boolean() }),
);
const turn = fc.record({
  happenings: fc.array(happening, { maxLength: 4 }),
  elapsedMs: fc.constantFrom(0, 1000, minute, 11 * minute),
  verb: fc.option(fc.constantFrom('promote', 'promote', 'promote-full', 'abort', 'retry', 'rollback'), {
    nil: undefined,
    freq: 2,
  }),
});
type Turn = typeof turn extends fc.Arbitrary<infer T> ? T : never;
const story = fc.record({ groups, steps, turns: fc.array(turn, { maxLength: 25 }) });
type Story = typeof story extends fc.Arbitrary<infer T> ? T : never;

const happen = (world: GroupWorld, what: Happening): void => {
  switch (what.do) {
    case 'join':
      if (!world.nodes.has(what.node))
        world.joinWith({ site: what.node.endsWith('1') ? 'lab' : 'shop' }, what.node);
      return;
    case 'leave':
      if (world.nodes.get(what.node)?.isConnected === true) world.leave(what.node);
      return;
    case 'back':
      if (world.nodes.has(what.node)) world.back(what.node);
      return;
    case 'behave':
      if (world.nodes.has(what.node)) world.behave(what.how, what.node);
      return;
    case 'follow':
      world.follow();
      return;
    case 'restart':
      world.status = world.status && rolloutStatusSchema.parse(JSON.parse(JSON.stringify(world.status)));
      return;
    case 'name':
      world.name(what.adapter);
      return;
    case 'groups':
      world.edit(() => {
        world.groups = what.groups;
      });
      return;
    case 'paused':
      world.edit(() => {
        world.more = { paused: what.paused };
      });
  }
};
const start = (
  inGroups: Turn extends never ? never : ConstructorParameters<typeof GroupWorld>[0],
  of: never,
): GroupWorld => {
  const world = new GroupWorld(inGroups, of);
  for (const [i, name] of first.entries()) world.joinWith({ site: i % 3 === 0 ? 'lab' : 'shop' }, name);
  return world.begin();
};
const take = (world: GroupWorld, { happenings, elapsedMs, verb }: Turn) => {
  for (const what of happenings) happen(world, what);
  return world.decide({ elapsedMs, ...(verb === undefined ? {} : { verb }) });
};

/** Whether somebody opened all groups by hand, since they began: they are not in order then, also after a failure. */
const openedByHand = (status: GroupWorld['status'], verb: string | undefined, was: boolean): boolean =>
  status?.step?.full === true ||
  ((was || verb === 'promote-full') && status?.groups?.some(({ phase }) => phase !== 'Pending') === true);

/** What must hold after every decision. */
const check = (
  world: GroupWorld,
  before: GroupWorld['status'],
  verb: string | undefined,
  isOpened: boolean,
): void => {
  const { status } = world;
  if (status === undefined) throw new Error('no status');
  rolloutStatusSchema.parse(status);
  const { stable, canary, abort, groups: list = [], weights } = status;
  if (before?.stable !== undefined) expect(stable).toBeDefined();
  if (canary === undefined) expect(list).toEqual([]);
  const given = [...world.nodes.keys()].map((name) => world.given(name));
  if (abort !== undefined || canary === undefined)
    expect(given.every(({ isLoaded }) => !isLoaded)).toBe(true);
  for (const { phase, weight, reach, startedAt } of list) {
    if (phase === 'Pending') expect([weight, reach, startedAt]).toEqual([0, 0, undefined]);
    if (phase === 'RolledBack') expect(weight).toBe(0);
    if ((phase === 'Succeeded' && reach > 0) || phase === 'Baking' || phase === 'Paused')
      expect(weight).toBe(100);
  }
  // The rollout shows the present group, unless somebody opened all of them.
  const present = list.find(({ phase }) => phase !== 'Succeeded');
  if (present !== undefined && status.step?.full !== true) expect(weights.canary).toBe(present.weight);
  // Nobody gets the canary before the groups in front of its own have gone well, or were opened by hand.
  if (!isOpened)
    for (const [i, { phase }] of list.entries())
      if (phase !== 'Pending') expect(list.slice(0, i).every((one) => one.phase !== 'Pending')).toBe(true);
  // While the canary stays, a group that has succeeded keeps it, unless it failed afterwards or somebody starts anew.
  const hashes = (of: GroupWorld['status']): string => (of?.groups ?? []).map(({ hash }) => hash).join(' ');
  // An edit starts them anew; with the clock standing still `startedAt` does not tell.
  const isEdited = hashes(before) !== hashes(status);
  const same = canary !== undefined && before?.canary?.digest === canary.digest && before.abort === undefined;
  for (const { name, phase, startedAt } of same && !isEdited ? (before.groups ?? []) : []) {
    const now = list.find((one) => one.name === name && one.startedAt === startedAt);
    if (phase !== 'Succeeded' || now === undefined) continue;
    if (!['Failed', 'RolledBack'].includes(now.phase) && verb !== 'retry')
      expect([now.phase, now.weight]).toEqual(['Succeeded', now.reach === 0 ? 0 : 100]);
  }
};

/** The selector of a group that has succeeded is taken away: it starts anew, in the same moment. */
const editedAtOnce: Story = {
  groups: [{ name: 'g0', selector: { matchLabels: { site: 'lab' } } }],
  steps: [],
  turns: [
    { happenings: [], elapsedMs: 0, verb: undefined },
    { happenings: [{ do: 'follow' }], elapsedMs: 0, verb: undefined },
    { happenings: [{ do: 'follow' }], elapsedMs: 0, verb: undefined },
    { happenings: [{ do: 'groups', groups: [{ name: 'g0' }] }], elapsedMs: 0, verb: undefined },
  ],
};
/** A group that waits for a person is promoted while the spec holds the rollout. */
const promotedWhilePaused: Story = {
  groups: [{ name: 'g0', limit: { count: 1 }, successAction: 'Pause' }, { name: 'g1' }],
  steps: [],
  turns: [
    { happenings: [], elapsedMs: 0, verb: undefined },
    { happenings: [{ do: 'follow' }], elapsedMs: 0, verb: undefined },
    { happenings: [{ do: 'follow' }], elapsedMs: 0, verb: undefined },
    { happenings: [{ do: 'paused', paused: true }], elapsedMs: 0, verb: 'promote' },
  ],
};

/** Somebody opens all groups, and the failure of one puts them back to one after the other: g2 has nobody, rest has begun. */
const openedThenFailed: Story = {
  groups: [
    { name: 'g0', limit: { count: 1 }, errorAction: 'RollbackGroup' },
    { name: 'g1', selector: { matchLabels: { site: 'lab' } } },
    { name: 'g2', selector: { matchLabels: { site: 'lab' } } },
  ],
  steps: [],
  turns: [
    { happenings: [], elapsedMs: 0, verb: undefined },
    { happenings: [{ do: 'leave', node: 'n5' }], elapsedMs: 0, verb: 'promote-full' },
    { happenings: [], elapsedMs: 11 * minute, verb: undefined },
  ],
};

describe('groups, whatever happens in whatever order', () => {
  it('keep the invariants after every decision', () => {
    fc.assert(
      fc.property(story, (told) => {
        const world = start(told.groups, told.steps as never);
        let isOpened = false;
        for (const one of told.turns) {
          const before = world.status;
          take(world, one);
          isOpened = openedByHand(world.status, one.verb, isOpened);
          check(world, before, one.verb, isOpened);
        }
      }),
      { numRuns: 200, examples: [[promotedWhilePaused], [editedAtOnce], [openedThenFailed]] },
    );
  });

  it('change nothing when it is decided again with the same facts', () => {
    fc.assert(
      fc.property(story, (told) => {
        const world = start(told.groups, told.steps as never);
        for (const one of told.turns) {
          const { status } = take(world, one);
          const again = world.decide();
          expect(again.status).toBe(status);
          expect(again.events).toEqual([]);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('lose all weight in the decision of an abort', () => {
    fc.assert(
      fc.property(story, (told) => {
        const world = start(told.groups, told.steps as never);
        for (const one of told.turns) take(world, one);
        const before = world.status;
        const { status } = world.decide({ verb: 'abort' });
        expect(world.having()).toEqual([]);
        if (before?.stable !== undefined) expect(status.stable).toEqual(before.stable);
      }),
      { numRuns: 150 },
    );
  });

  it('move no runtime from one that has begun to another while runtimes come and go', () => {
    fc.assert(
      fc.property(story, (told) => {
        const world = start(told.groups, told.steps as never);
        for (const one of told.turns) {
          const before = world.status;
          const had = new Map([...world.nodes.keys()].map((name) => [name, world.given(name)]));
          const { status } = take(world, {
            ...one,
            verb: undefined,
            happenings: one.happenings.filter(
              (what) => what.do === 'join' || what.do === 'leave' || what.do === 'back',
            ),
          });
          if (status.abort !== undefined || before?.canary?.digest !== status.canary?.digest) continue;
          const isBack = status.groups?.some(({ phase }) => phase === 'RolledBack') === true;
          for (const [name, { isLoaded }] of had)
            if (isLoaded && !isBack) expect(world.given(name).isLoaded).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('end with what the spec names once all runtimes are well and somebody promotes', () => {
    fc.assert(
      fc.property(story, (told) => {
        const world = start(told.groups, told.steps as never);
        for (const one of told.turns) take(world, one);
        world.edit(() => {
          world.more = {};
        });
        for (const name of world.nodes.keys()) {
          world.back(name).behave('Good', name);
          world.node(name).isServing = true;
        }
        world.follow().decide({ verb: 'retry' });
        for (let i = 0; i < 60 && world.status?.phase !== 'Healthy'; i++) {
          world.follow().decide({ elapsedMs: minute, verb: 'promote' });
        }
        expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: world.adapter } });
      }),
      { numRuns: 150 },
    );
  });

  it('promote in one decision when all runtimes have the canary and somebody asks for all of it', () => {
    fc.assert(
      fc.property(story, fc.option(groups, { nil: undefined }), (told, edited) => {
        const world = start(told.groups, told.steps as never);
        for (const one of told.turns) take(world, one);
        const { canary, abort } = world.status ?? {};
        fc.pre(canary?.adapter === world.adapter && abort === undefined);
        world.edit(() => {
          world.more = {};
        });
        for (const name of world.nodes.keys()) world.back(name).behave('Good', name);
        world.decide({ verb: 'promote-full' });
        world.follow().edit(() => {
          if (edited !== undefined) world.groups = edited;
        });
        const { status } = world.decide({ verb: 'promote-full' });
        expect(status).toMatchObject({ phase: 'Healthy', stable: { adapter: world.adapter } });
      }),
      { numRuns: 150 },
    );
  });
});
