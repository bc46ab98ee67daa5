import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rolloutSpecSchema } from '../../api/rollout.ts';
import { evenArm } from '../../rollout/judge/judge.fixture.ts';
import { runtimeKey } from '../testing/fake-fleet.ts';
import { digestOf, RolloutWorld, sql } from './world.fixture.ts';

const names = Array.from({ length: 10 }, (_, i) => `n${i}`);
const [liar = '', ...honest] = names;
const refused = { reason: 'ADAPTER_SHAPE', message: 'q_proj', isFinal: true };

/** Anything that one runtime may say, or do. */
const lie = fc.oneof(
  fc.record({
    what: fc.constant('state' as const),
    adapter: fc.constantFrom('v1', 'v2'),
    state: fc.constantFrom('Fetching', 'Loaded', 'Resident', 'Failed', 'Nonsense'),
    digest: fc.constantFrom(digestOf('v1'), digestOf('v2'), digestOf('v9'), '' as const),
  }),
  fc.record({
    what: fc.constant('hold' as const),
    cause: fc.constantFrom('Guard' as const, 'BreakGlass' as const),
    digest: fc.constantFrom(digestOf('v1'), digestOf('v2'), digestOf('v9')),
    attempt: fc.constantFrom(0, 1, 2, 999),
  }),
  fc.record({
    what: fc.constant('counts' as const),
    stable: fc.constantFrom(0, 10, 20_000),
    canary: fc.constantFrom(0, 10, 20_000),
    bad: fc.constantFrom(0, 0.5, 1),
    slower: fc.constantFrom(0.01, 1, 100),
    seq: fc.nat(9),
  }),
  fc.record({ what: fc.constant('leave' as const) }),
  fc.record({ what: fc.constant('join' as const), ready: fc.boolean(), instance: fc.constantFrom('a', 'b') }),
  fc.record({ what: fc.constant('silence' as const) }),
);
type Lie = typeof lie extends fc.Arbitrary<infer T> ? T : never;

const key = runtimeKey(liar);
const told = (world: RolloutWorld) => world.fleet.get(key)?.rollouts.get(sql);
const say = (world: RolloutWorld, said: Lie): void => {
  switch (said.what) {
    case 'state':
      return void world.state(said.adapter, said.state, [liar], { ...refused, digest: said.digest });
    case 'hold': {
      const { cause, digest, attempt } = said;
      const holds = [{ cause, digest, attempt, reason: 'errors' }];
      return void world.sync([liar], { ...told(world), attempt, holds });
    }
    case 'counts': {
      const { stable, canary, bad, slower, seq } = said;
      const arms = {
        stable: evenArm(stable, 0).snapshot(),
        canary: evenArm(canary, canary * bad, (i) => (100 + (i % 50)) * slower).snapshot(),
      };
      return void world.sync([liar], { ...told(world), counts: [{ weight: 50, seq, ...arms }] });
    }
    case 'leave':
      return void world.leave(liar);
    case 'join':
      return world.fleet.report(key, { connected: true, ready: said.ready, instance: said.instance });
    case 'silence':
      return world.fleet.report(key, { adapters: new Map(), rollouts: new Map() });
  }
};

const strategy = rolloutSpecSchema.parse({
  adapter: 'v2',
  strategy: { canary: { steps: [{ setWeight: 50 }, { analysis: { duration: '1m' } }] } },
}).strategy;

const underWay = async (): Promise<RolloutWorld> => {
  const world = new RolloutWorld(...names).adapter('v1').adapter('v2');
  world.spec({ adapter: 'v1', strategy }).state('v1', 'Resident');
  await world.settle();
  world.spec({ adapter: 'v2' }).state('v2', 'Resident');
  await world.settle();
  return world;
};
const follow = (world: RolloutWorld, errors: number): void => {
  for (const name of honest) {
    const arms = {
      stable: evenArm(200, 2, (i) => 100 + (i % 50)).snapshot(),
      canary: evenArm(200, 2 + errors, (i) => 100 + (i % 50)).snapshot(),
    };
    world.sync([name], { counts: [{ weight: 50, seq: 1, ...arms }] });
  }
};

describe('one of ten runtimes, whatever it says in whatever order', () => {
  it('keeps no healthy canary from becoming stable, for longer than its deadline', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(lie, { maxLength: 15 }), async (lies) => {
        const world = await underWay();
        follow(world, 0);
        for (const said of lies) {
          say(world, said);
          await world.advance(3000).run();
        }
        for (let second = 0; second < 720; second += 10) await world.advance(10_000).run();
        expect(world.status.abort).toBeUndefined();
        expect(world.status).toMatchObject({ phase: 'Healthy', stable: { adapter: 'v2' } });
      }),
      { numRuns: 30 },
    );
  });

  it('saves no canary that the others find to be bad', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(lie, { maxLength: 15 }), async (lies) => {
        const world = await underWay();
        follow(world, 40);
        for (const said of lies) {
          say(world, said);
          await world.advance(3000).run();
        }
        for (let second = 0; second < 720; second += 10) await world.advance(10_000).run();
        expect(world.status).toMatchObject({ phase: 'Degraded', stable: { adapter: 'v1' } });
        expect(world.status.abort).toBeDefined();
      }),
      { numRuns: 30 },
    );
  });
});
