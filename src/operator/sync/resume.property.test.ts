import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AdapterReport,
  LimitReport,
  RolloutReport,
  RouteClassifiers,
} from '../../gen/adaptlet/control/v1/control.ts';
import { key, plain, ResumeWorld } from './resume.fixture.ts';

const states = ['Remote', 'Fetching', 'Stored', 'Resident', 'Failed'];
const happenings = [
  ...Array.from({ length: 4 }, () => 'Adapter' as const),
  ...Array.from({ length: 3 }, () => 'Rollout' as const),
  ...(['AdapterGone', 'RolloutGone', 'Limit', 'LimitGone', 'Ready', 'Memory', 'Model', 'Removals'] as const),
  ...(['Classifiers', 'Classifiers', 'ClassifiersGone'] as const),
  ...Array.from({ length: 8 }, () => 'Send' as const),
  ...Array.from({ length: 12 }, () => 'Read' as const),
  ...Array.from({ length: 8 }, () => 'Connect' as const),
  ...([
    'ReadOld',
    'ReadOld',
    'Leave',
    'Leave',
    'End',
    'End',
    'EndOld',
    'Relay',
    'Relay',
    'Tick',
    'Tick',
  ] as const),
  ...(['Restart', 'RestartReplica'] as const),
] as const;
type Step = { readonly what: (typeof happenings)[number]; readonly n: number; readonly v: number };

const steps: fc.Arbitrary<Step[]> = fc.noBias(
  fc.array(fc.record({ what: fc.constantFrom(...happenings), n: fc.nat(9), v: fc.nat(99) }), {
    maxLength: 250,
    size: 'max',
  }),
);

const changeRollout = ({ process }: ResumeWorld, name: string, n: number, v: number): void => {
  const before = process.rollouts.get(name);
  // Sometimes the next attempt, whose counts begin anew, or one weight fewer is kept.
  const attempt = (before?.attempt ?? 1) + Number(v % 7 === 0);
  const former = attempt === before?.attempt ? before.counts : [];
  const weight = 10 * (1 + (v % 3));
  const kept = former.filter((counts) => counts.weight !== weight).slice(v % 11 === 0 ? 1 : 0);
  process.counted += 1n;
  const seq = process.counted;
  process.rollouts.set(
    name,
    RolloutReport.fromPartial({
      key: name,
      uid: 'r',
      attempt,
      weight,
      servedStable: BigInt(v),
      counts: [...kept, { weight, seq, stable: { latencyMs: v }, canary: {} }],
      ...(v % 2 === 0
        ? {}
        : { mirror: { percentage: 5, requests: BigInt(v), compared: BigInt(Math.min(n, v)) } }),
    }),
  );
};

const run = (world: ResumeWorld, { what, n, v }: Step): void => {
  const { process } = world;
  const name = `team-a/x-${n % 4}`;
  const old = world.streams[v % Math.max(1, world.streams.length)];
  switch (what) {
    case 'Adapter':
      process.adapters.set(
        name,
        AdapterReport.fromPartial({
          key: name,
          uid: 'u',
          state: states[v % 5] ?? '',
          storedBytes: BigInt(v),
        }),
      );
      break;
    case 'Rollout':
      changeRollout(world, name, n, v);
      break;
    case 'AdapterGone':
      process.adapters.delete(name);
      break;
    case 'RolloutGone':
      process.rollouts.delete(name);
      break;
    case 'Limit':
      process.limits.set(
        `t-${n % 2}/Rate`,
        LimitReport.fromPartial({ namespace: `t-${n % 2}`, limit: 'Rate', refused: BigInt(v) }),
      );
      break;
    case 'LimitGone':
      process.limits.delete(`t-${n % 2}/Rate`);
      break;
    case 'Classifiers':
      process.classifiers.set(
        name,
        RouteClassifiers.fromPartial({
          key: name,
          classifiers: [{ name: `c-${v % 2}`, state: states[v % 5] ?? '', message: String(v % 3) }],
        }),
      );
      break;
    case 'ClassifiersGone':
      process.classifiers.delete(name);
      break;
    case 'Ready':
      process.ready = v % 2 === 0;
      break;
    case 'Memory':
      process.used = BigInt(v);
      break;
    case 'Model':
      process.baseDigest = `sha256:${String(v % 3).repeat(64)}`;
      break;
    case 'Removals':
      process.removals = v % 3;
      break;
    case 'Send':
      if (v % 2 === 0) world.process.reports.counted();
      world.clock.advance(v % 2 === 0 ? 2_000 : 50);
      world.send();
      break;
    case 'Read':
      world.read(world.stream, 1 + (v % 3));
      break;
    case 'ReadOld':
      world.read(old, 1 + (v % 3));
      break;
    case 'Connect':
      world.connect(v % 4 === 0 ? 1 : 0);
      break;
    case 'Leave':
      world.leave();
      break;
    case 'End':
      world.end(world.stream);
      world.leave();
      break;
    case 'EndOld':
      if (old !== world.stream) world.end(old);
      break;
    case 'Relay':
      world.relay();
      break;
    case 'Tick':
      world.clock.advance([1_000, 12_000, 4_000_000][n % 3] ?? 0);
      break;
    case 'Restart':
      world.restart();
      break;
    case 'RestartReplica':
      world.restartReplica(v);
      break;
  }
};

/** All that is under way is read, and the runtime comes to this replica. */
const settle = (world: ResumeWorld, index: number): void => {
  for (const stream of world.streams) if (stream !== world.stream) world.end(stream);
  for (let tries = 0; tries < 3; tries += 1) {
    world.connect(index);
    const { stream } = world;
    world.read(stream, 1_000);
    if (world.stream !== undefined) return;
  }
  expect.fail('the runtime never comes to a stream that holds');
};

describe('what an operator knows of a runtime that comes back', () => {
  it('is what a report of everything says, after any loss on any stream, at any replica and after any restart', () => {
    const firsts = { whole: 0, resumed: 0, refused: 0 };
    fc.assert(
      fc.property(steps, fc.nat(1), (list, index) => {
        const world = new ResumeWorld();
        for (const step of list) run(world, step);
        settle(world, index);
        // Then it comes back once more, and nothing was lost: it goes on.
        const before = world.firsts.resumed;
        settle(world, index);
        expect(world.firsts.resumed).toBe(before + 1);
        world.relay();
        const [leader, other] = world.replicas;
        const state = plain(world.stream?.replica.fleet.get(key));
        expect(state?.adapters.size).toBe(world.process.adapters.size);
        expect(state?.classifiers?.size).toBe(world.process.classifiers.size);
        if (world.stream?.replica === other) expect(plain(leader?.fleet.get(key))).toEqual(state);
        for (const kind of ['whole', 'resumed', 'refused'] as const) firsts[kind] += world.firsts[kind];
      }),
      { numRuns: 500 },
    );
    // Neither is rare: the property would say nothing of the other.
    expect(firsts.whole).toBeGreaterThan(300);
    expect(firsts.resumed).toBeGreaterThan(300);
    expect(firsts.refused).toBeGreaterThan(0);
  });
});
