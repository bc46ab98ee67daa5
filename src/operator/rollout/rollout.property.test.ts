import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { runtimeKey } from '../testing/fake-fleet.ts';
import { digestOf, RolloutWorld, sql, steps } from './world.fixture.ts';

const runtimes = ['a', 'b', 'c'] as const;
const runtime = fc.constantFrom(...runtimes);
const adapter = fc.constantFrom('v1', 'v2', 'v3');

const happening = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('follow' as const), runtime }) },
  { weight: 3, arbitrary: fc.constant({ do: 'everybodyIsReady' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('state' as const),
      runtime,
      adapter,
      state: fc.constantFrom('Fetching', 'Resident', 'Failed'),
      isFinal: fc.boolean(),
    }),
  },
  fc.record({
    do: fc.constant('hold' as const),
    runtime,
    cause: fc.constantFrom('Guard' as const, 'BreakGlass' as const),
  }),
  fc.record({ do: fc.constant('serve' as const), runtime, stable: fc.nat(100), canary: fc.nat(100) }),
  fc.record({ do: fc.constant('leave' as const), runtime }),
  fc.record({ do: fc.constant('join' as const), runtime }),
  fc.record({ do: fc.constant('forget' as const), runtime }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('spec' as const), adapter }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      verb: fc.constantFrom('promote', 'promote', 'promote-full', 'abort', 'retry', 'rollback', 'dance', ''),
    }),
  },
  fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(50, 1000, 5000, 31_000) }),
  fc.constant({ do: 'lag' as const }),
  fc.constant({ do: 'catchUp' as const }),
  fc.constant({ do: 'refuseWrite' as const }),
  fc.constant({ do: 'takeOver' as const }),
);
type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;
const story = fc.array(happening, { maxLength: 40 });

let asked = 0;
const happen = (world: RolloutWorld, what: Happening): void => {
  switch (what.do) {
    case 'follow':
      return void (world.fleet.get(runtimeKey(what.runtime)) && world.sync([what.runtime]));
    case 'everybodyIsReady':
      for (const name of ['v1', 'v2', 'v3']) world.state(name, 'Resident');
      return void world.sync();
    case 'state':
      return void world.state(what.adapter, what.state, [what.runtime], {
        isFinal: what.isFinal,
        reason: 'ADAPTER_SHAPE',
      });
    case 'hold':
      return void world.hold(what.runtime, what.cause);
    case 'serve':
      return void world.served(what.runtime, what.stable, what.canary);
    case 'leave':
      return void world.leave(what.runtime);
    case 'join':
      return void world.join(what.runtime);
    case 'forget':
      return world.fleet.forget(runtimeKey(what.runtime));
    case 'spec':
      return void world.spec({ adapter: what.adapter });
    case 'ask':
      return void world.ask(what.verb === '' ? 'nonsense' : `${what.verb}@${++asked}`);
    case 'pass':
      return void world.advance(what.ms);
    case 'lag':
      world.cluster.rollouts.lags = true;
      return;
    case 'catchUp':
      return world.cluster.rollouts.catchUp();
    case 'refuseWrite':
      return void world.cluster.failures.push(new AdaptletError('KUBE_UNAVAILABLE', 'no answer'));
    case 'takeOver':
      return world.takeOver();
  }
};

const start = (): RolloutWorld => {
  const world = new RolloutWorld(...runtimes).adapter('v1').adapter('v2').adapter('v3');
  return world.spec({ adapter: 'v1', ...steps(10, 50) });
};

const run = async (world: RolloutWorld): Promise<void> => {
  try {
    await world.run();
  } catch (error) {
    expect(error).toMatchObject({ code: 'KUBE_UNAVAILABLE' });
  }
};

const statuses = (world: RolloutWorld): RolloutStatus[] =>
  world.cluster.writes.map(({ status }) => status as RolloutStatus);

/** Brings everything into step: the cache is new, the writes work. */
const calm = (world: RolloutWorld): void => {
  world.cluster.rollouts.catchUp();
  world.cluster.failures.length = 0;
  world.advance(10_000);
};

const isTripped = (world: RolloutWorld): boolean => {
  const { canary } = world.status;
  return runtimes.some((name) => {
    const state = world.fleet.get(runtimeKey(name));
    const report = state?.connected === true ? state.rollouts.get(sql) : undefined;
    if (canary === undefined || report?.canaryDigest !== canary.digest || report.attempt < canary.attempt)
      return false;
    return report.holds.some(
      (hold) => hold.cause === 'Guard' && hold.digest === canary.digest && hold.attempt >= canary.attempt,
    );
  });
};

describe('a rollout over a fleet, whatever is reported in whatever order', () => {
  it('keeps every status that is written sound', async () => {
    await fc.assert(
      fc.asyncProperty(story, async (happenings) => {
        const world = start();
        for (const what of happenings) {
          const before = world.cluster.rollouts.server.get(sql)?.object?.status;
          happen(world, what);
          await run(world);
          const after = world.cluster.rollouts.server.get(sql)?.object?.status;
          if (after?.stable === undefined || after.stable.digest === before?.stable?.digest) continue;
          // By hand it goes back; else only to what every runtime that is here has ready.
          if (after.abort?.reason === 'rolled back by hand') continue;
          for (const name of runtimes) {
            const state = world.fleet.get(runtimeKey(name));
            if (state?.connected !== true) continue;
            const known = [...state.adapters.values()].find(({ digest }) => digest === after.stable?.digest);
            expect(known?.state).toBe('Resident');
          }
        }
        let former: RolloutStatus | undefined;
        for (const status of statuses(world)) {
          const { weights, canary, stable, abort, revision, leaderEpoch = 0 } = status;
          expect(weights.canary + weights.stable).toBe(100);
          if (weights.canary > 0)
            expect([canary === undefined, stable === undefined, abort]).toEqual([false, false, undefined]);
          if (canary !== undefined) expect(canary.digest).not.toBe(stable?.digest);
          expect(revision).toBeGreaterThanOrEqual(former?.revision ?? 0);
          expect(leaderEpoch).toBeGreaterThanOrEqual(former?.leaderEpoch ?? 0);
          former = status;
        }
      }),
      { numRuns: 300 },
    );
  });

  it('takes all weight from the canary in one write when a guard trips or somebody aborts', async () => {
    await fc.assert(
      fc.asyncProperty(story, fc.boolean(), async (happenings, byHand) => {
        const world = start();
        for (const what of happenings) {
          happen(world, what);
          await run(world);
        }
        calm(world);
        await run(world);
        const { canary } = world.status;
        if (byHand) world.ask(`abort@${++asked}`);
        else for (const name of runtimes) world.join(name).sync([name]).hold(name, 'Guard');
        const writes = world.cluster.writes.length;
        const tripped = isTripped(world);
        await run(world);
        expect(world.cluster.writes.length - writes).toBeLessThanOrEqual(1);
        if (byHand || tripped) expect(world.status.weights.canary).toBe(0);
        if (tripped) expect(world.status.abort?.digest ?? canary?.digest).toBe(canary?.digest);
      }),
      { numRuns: 300 },
    );
  });

  it('tells of each abort once', async () => {
    await fc.assert(
      fc.asyncProperty(story, async (happenings) => {
        const world = start();
        for (const what of happenings) {
          happen(world, what);
          await run(world);
          world.advance(1);
        }
        const aborts = new Set(
          statuses(world).flatMap(({ abort }) => (abort === undefined ? [] : [JSON.stringify(abort)])),
        );
        expect(world.reasons.filter((reason) => reason === 'Aborted')).toHaveLength(aborts.size);
      }),
      { numRuns: 200 },
    );
  });

  it('ends with what the spec names once everybody is ready and somebody promotes', async () => {
    await fc.assert(
      fc.asyncProperty(story, adapter, async (happenings, wanted) => {
        const world = start();
        for (const what of happenings) {
          happen(world, what);
          await run(world);
        }
        calm(world);
        for (const name of runtimes) world.join(name);
        world.spec({ adapter: wanted });
        for (let turn = 0; turn < 40; turn++) {
          const now = world.cluster.rollouts.server.get(sql)?.object?.status;
          if (now?.phase === 'Healthy' && now.stable?.digest === digestOf(wanted)) break;
          for (const name of ['v1', 'v2', 'v3']) world.state(name, 'Resident');
          world.ask(`${now?.abort === undefined ? 'promote' : 'retry'}@${++asked}`);
          await run(world);
          world.sync().advance(1000);
          await run(world);
        }
        expect(world.status).toMatchObject({ phase: 'Healthy', stable: { digest: digestOf(wanted) } });
      }),
      { numRuns: 150 },
    );
  });
});
