import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { fakeDigest } from '../../api/names.fixture.ts';
import { objectKey } from '../../api/names.ts';
import { countsToWire } from '../../control/arm-counts.ts';
import { elsewhereToWire } from '../../control/rewards-wire.ts';
import { Report, RolloutReport } from '../../gen/adaptlet/control/v1/control.ts';
import { ArmCounter } from '../../rollout/judge/counts.ts';
import { maxElsewhere, originOf } from '../../rollout/judge/elsewhere.ts';
import { evenArm } from '../../rollout/judge/judge.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { aRuntimeState } from '../testing/fake-fleet.ts';
import { rolloutsKnown, TestRelay } from './relay.fixture.ts';
import { FleetStore, local } from './store.ts';
import { changeFromWire } from './update.ts';

const node = objectKey('nodes', 'n1');
const sql = objectKey('team-a', 'sql');
const { info } = aRuntimeState(node);
const idle = new ArmCounter().snapshot();

/** A runtime that reports to a replica, which tells a leader. */
class World {
  readonly replica = new FleetStore({ clock: new FakeClock() });
  leader = new FleetStore({ clock: new FakeClock() });
  relay = new TestRelay(this.replica, this.leader);
  attempt = 1;
  #connection = 0n;
  #seq = 0;
  isHere = false;

  connect(of: Partial<RolloutReport> = {}): void {
    this.#connection += 1n;
    this.isHere = true;
    this.#tell({ whole: true, rollouts: [this.#rollout(of)] });
  }
  report(of: Partial<RolloutReport>): void {
    this.#tell({ rollouts: [this.#rollout(of)] });
  }
  endRollout(): void {
    this.#tell({ goneRollouts: [sql] });
  }
  leave(): void {
    this.isHere = false;
    this.replica.gone(local, node, this.#connection);
  }

  told(process: string, weight: number, numbers: readonly number[]) {
    this.#seq += 1;
    const rewards = numbers.map((number) => ({
      number,
      bucket: number % 64,
      arm: 'canary' as const,
      reward: this.#seq,
    }));
    return elsewhereToWire({ origin: originOf(process), weight, seq: this.#seq, rewards });
  }
  counts(weight: number) {
    this.#seq += 1;
    return countsToWire({ weight, seq: this.#seq, stable: evenArm(this.#seq, 0).snapshot(), canary: idle });
  }

  /** The stream to the leader is over, and another one begins. */
  reconnect(to = this.leader): void {
    this.relay.cut();
    this.leader = to;
    this.relay = new TestRelay(this.replica, to);
  }

  /** What the leader knows is what the replica knows. */
  check(): void {
    const [known, here] = [this.leader, this.replica].map((fleet) => rolloutsKnown(fleet, node));
    if (!this.isHere || isDeepStrictEqual(known, here)) return;
    expect(known).toEqual(here);
  }

  #rollout(of: Partial<RolloutReport>): RolloutReport {
    const { attempt } = this;
    return { ...RolloutReport.create(), key: sql, uid: 'r1', canaryDigest: fakeDigest('2'), attempt, ...of };
  }
  #tell(of: Partial<Report>): void {
    this.replica.update(local, {
      key: node,
      kind: 'Node',
      instance: 'i',
      connectionSeq: this.#connection,
      ...(of.whole === true ? { opened: { connectedAt: Number(this.#connection), info } } : {}),
      change: changeFromWire(Report.decode(Report.encode({ ...Report.create(), ...of }).finish())),
    });
  }
}

/** The leader has 0 first, the replica 1. */
const cameBackInAnotherOrder = [
  ['feedback', [0]],
  ['flush', [0]],
  ['end', [0]],
  ['feedback', [1, 0]],
  ['flush', [0]],
].map(([step, numbers]) => ({ do: String(step), process: 'r', weight: 5, numbers: numbers as number[] }));

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

let world: World;
beforeEach(() => {
  world = new World();
});
const sizes = () =>
  world.leader
    .get(node)
    ?.rollouts.get(sql)
    ?.elsewhere?.unpacked()
    .map(({ weight, rewards }) => [weight, rewards.length]);

describe('what a replica relays of rollouts', () => {
  it('is each reward and each count once in a stream: a report costs what is new of it', () => {
    const all = range(0, maxElsewhere);
    world.connect({
      elsewhere: [world.told('p', 5, all)],
      counts: range(1, 51).map((weight) => world.counts(weight)),
    });
    expect(world.relay.flush()).toBeGreaterThan(100_000);
    for (const number of [0, 7, maxElsewhere - 1]) {
      world.report({
        servedCanary: 9n,
        elsewhere: [world.told('p', 5, [number])],
        counts: [world.counts(5)],
      });
      expect(world.relay.flush()).toBeLessThan(1_000);
      world.check();
    }
    world.report({ servedCanary: 10n });
    expect(world.relay.flush()).toBeLessThan(200);
    world.check();
    expect(sizes()).toEqual([[5, maxElsewhere]]);
  });

  it('is everything again in the next stream, whether what went before arrived or not, and for the next leader', () => {
    world.connect({ elsewhere: [world.told('p', 5, [1, 2])] });
    world.relay.flush();
    world.report({ elsewhere: [world.told('p', 5, [3])] });
    world.relay.flush(false);
    world.reconnect();
    world.relay.flush();
    world.check();
    expect(sizes()).toEqual([[5, 3]]);
    world.reconnect(new FleetStore({ clock: new FakeClock() }));
    world.relay.flush();
    world.check();
    expect(sizes()).toEqual([[5, 3]]);
  });

  it('begins anew with a rollout that goes and comes back, or has another attempt meanwhile, before it was told', () => {
    world.connect({ elsewhere: [world.told('p', 5, [1, 2])], counts: [world.counts(5)] });
    world.relay.flush();
    world.endRollout();
    world.report({ elsewhere: [world.told('p', 5, [3])] });
    world.relay.flush();
    world.check();
    expect(sizes()).toEqual([[5, 1]]);
    world.report({ attempt: 2, elsewhere: [world.told('q', 5, [1])], counts: [world.counts(5)] });
    world.report({ elsewhere: [world.told('p', 50, [3])], counts: [world.counts(50)] });
    world.relay.flush();
    world.check();
    expect(sizes()).toEqual([[50, 1]]);
  });

  it('is what the replica kept of more than it keeps, also where it was told of the same process again', () => {
    world.connect({
      elsewhere: [world.told('p', 5, range(0, 10)), world.told('q', 5, range(0, maxElsewhere - 10))],
    });
    world.relay.flush();
    world.report({ elsewhere: [world.told('q', 5, range(maxElsewhere - 10, maxElsewhere))] });
    world.report({ elsewhere: [world.told('p', 5, range(20, 25))] });
    world.relay.flush();
    world.check();
    expect(sizes()).toEqual([
      [5, maxElsewhere - 5],
      [5, 5],
    ]);
  });

  it('lets the leader know what the replica knows, whatever happens in between', () => {
    const process = fc.constantFrom('p', 'q', 'r');
    const weight = fc.constantFrom(5, 50);
    const numbers = fc.uniqueArray(fc.nat(20), { minLength: 1, maxLength: 5 });
    const many = fc.nat(20_000).map((from) => range(from, from + 3_000));
    const of = (frequency: number, step: string, more: object = {}) => ({
      weight: frequency,
      arbitrary: fc.record({ do: fc.constant(step), process, weight, numbers, ...more }),
    });
    const step = fc.oneof(
      of(12, 'feedback'),
      of(1, 'feedback', { numbers: many }),
      of(4, 'counts'),
      of(8, 'flush'),
      of(2, 'lose'),
      of(1, 'nextLeader'),
      of(2, 'end'),
      of(2, 'connect'),
      of(1, 'leave'),
      of(1, 'attempt'),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 50, size: 'max' }), (steps) => {
        world = new World();
        world.connect();
        for (const one of steps) {
          const elsewhere = [world.told(one.process, one.weight, one.numbers)];
          if (one.do === 'connect' || !world.isHere) world.connect({ elsewhere });
          else if (one.do === 'feedback') world.report({ elsewhere });
          else if (one.do === 'counts') world.report({ counts: [world.counts(one.weight)] });
          else if (one.do === 'end') world.endRollout();
          else if (one.do === 'leave') world.leave();
          else if (one.do === 'attempt') world.attempt = 3 - world.attempt;
          else if (one.do === 'lose') {
            world.relay.flush(false);
            world.reconnect();
          } else if (one.do === 'nextLeader') world.reconnect(new FleetStore({ clock: new FakeClock() }));
          else {
            world.relay.flush();
            world.check();
          }
        }
        world.relay.flush();
        world.check();
      }),
      { numRuns: 100, examples: [[cameBackInAnotherOrder]] },
    );
  });
});
