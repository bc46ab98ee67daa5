import { describe, expect, it } from 'vitest';
import { type Resource, resourceKey, versioned } from '../plan/resources.ts';
import { FakeClock } from '../time/fake-clock.ts';
import type { HeldPlan } from './held-plan.ts';
import { adapter, adapters, at, planOf, split } from './plans.fixture.ts';
import { Receiver } from './receiver.ts';
import { revisionToWire } from './revision.ts';
import { resourceToWire } from './wire.ts';

const minute = 60_000;

/** A runtime that holds the resources, and the stream to it. */
class Runtime {
  readonly clock = new FakeClock();
  receiver: Receiver;
  #nonce = 0n;

  constructor(...resources: Resource[]) {
    const held = {
      clusterUid: 'c',
      revision: at(1),
      resources: [...planOf(...resources).values()],
      removals: [],
    };
    this.receiver = new Receiver({ held, clock: this.clock });
    this.connect();
  }
  connect(): void {
    this.#nonce = 0n;
    this.receiver.hello();
    this.receiver.welcome('c');
  }
  restart(): void {
    const held: HeldPlan = this.receiver.held();
    this.receiver = new Receiver({ held, clock: this.clock });
    this.connect();
  }
  commit({
    put = [],
    remove = [],
    confirmed = '',
  }: {
    put?: Resource[];
    remove?: string[];
    confirmed?: string;
  }) {
    for (const resource of put) this.receiver.put(resourceToWire(versioned(resource)));
    for (const key of remove) this.receiver.remove(key);
    this.#nonce += 1n;
    const done = this.receiver.commit({
      nonce: this.#nonce,
      revision: revisionToWire(at(1)),
      confirmedRemovals: confirmed,
    });
    if (done.outcome === 'Rejected') throw new Error(done.reason);
    return done;
  }
  get size(): number {
    return this.receiver.plan.size;
  }
  get held() {
    return this.receiver.removals;
  }
}

const keys = (from: number, to: number): string[] => adapters(to).slice(from).map(resourceKey);

describe('removals of more than half of the rollouts', () => {
  const splits = ['a', 'b', 'c', 'd'].map((name) => split(name));

  it('are held back however many adapters stay', () => {
    const runtime = new Runtime(...adapters(20), ...splits);
    runtime.commit({ remove: splits.slice(0, 2).map(resourceKey) });
    expect(runtime.size).toBe(22);
    expect(runtime.commit({ remove: splits.slice(2).map(resourceKey) })).toMatchObject({ changed: false });
    expect([runtime.size, runtime.held?.count]).toEqual([22, 2]);
    runtime.clock.advance(10 * minute);
    runtime.receiver.removalsDue();
    expect(runtime.size).toBe(20);
  });
});

describe('removals of at most half of what is held', () => {
  it('happen at once', () => {
    const runtime = new Runtime(...adapters(10));
    expect(runtime.commit({ remove: keys(0, 5) })).toMatchObject({ changed: true, removals: undefined });
    expect(runtime.size).toBe(5);
  });

  it('happen at once again a minute later', () => {
    const runtime = new Runtime(...adapters(10));
    runtime.commit({ remove: keys(0, 5) });
    runtime.clock.advance(minute + 1);
    runtime.commit({ remove: keys(5, 7) });
    expect(runtime.size).toBe(3);
  });

  it('take a Split with its adapters away in one go', () => {
    const runtime = new Runtime(...adapters(4), split('s'));
    runtime.commit({ remove: ['Split team-a/s', ...keys(0, 1)] });
    expect(runtime.size).toBe(3);
  });

  it('include everything of a plan of three', () => {
    const runtime = new Runtime(...adapters(3));
    runtime.commit({ remove: keys(0, 3) });
    expect(runtime.size).toBe(0);
  });
});

describe('removals of more than half of what is held', () => {
  it('are held back for ten minutes, while the puts of the same commit apply', () => {
    const runtime = new Runtime(...adapters(4));
    const done = runtime.commit({ put: [split('new')], remove: keys(0, 3) });
    expect(done).toMatchObject({
      changed: true,
      removals: { count: 3, fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/), remainingMs: 10 * minute },
    });
    expect(runtime.size).toBe(5);
    runtime.clock.advance(10 * minute - 1);
    expect([runtime.receiver.removalsDue(), runtime.held?.remainingMs]).toEqual([undefined, 1]);
    runtime.clock.advance(1);
    expect(runtime.receiver.removalsDue()).toEqual({
      changed: true,
      removals: undefined,
      plan: planOf(adapter('a-3'), split('new')),
    });
  });

  it('count together when they trickle in', () => {
    const runtime = new Runtime(...adapters(10));
    for (let index = 0; index < 10; index += 1) {
      runtime.commit({ remove: keys(index, index + 1) });
      runtime.clock.advance(5_900);
    }
    expect([runtime.size, runtime.held?.count]).toEqual([5, 5]);
  });

  it('are measured against what came within the minute as well', () => {
    const runtime = new Runtime();
    runtime.commit({ put: adapters(10) });
    runtime.commit({ remove: keys(0, 4) });
    runtime.commit({ remove: keys(4, 6) });
    expect([runtime.size, runtime.held?.count]).toEqual([6, 2]);
  });

  it('are not made small by what comes in the same commit', () => {
    const runtime = new Runtime(...adapters(4));
    runtime.commit({ put: adapters(50).slice(10), remove: keys(0, 4) });
    expect([runtime.size, runtime.held?.count]).toEqual([44, 4]);
  });

  it('that are left of a plan of which most wait are no small plan', () => {
    const runtime = new Runtime(...adapters(10));
    runtime.commit({ remove: keys(0, 8) });
    runtime.commit({ remove: keys(8, 10) });
    expect([runtime.size, runtime.held?.count]).toEqual([10, 10]);
  });

  it('that wait do not make those wait that come behind them, where a plan is never without change', () => {
    const runtime = new Runtime(...adapters(52));
    const many = adapters(1000);
    let [oldest, newest] = [0, 52];
    /** So many are replaced. */
    const replace = (count: number): void => {
      runtime.commit({ put: many.slice(newest, newest + count), remove: keys(oldest, oldest + count) });
      oldest += count;
      newest += count;
      runtime.clock.advance(3000);
    };
    for (let ms = 0; ms < 5 * minute; ms += 3000) replace(1);
    expect([runtime.size, runtime.held]).toEqual([52, undefined]);
    replace(20);
    expect(runtime.held?.count).toBe(20);
    for (let ms = 0; ms < 9 * minute; ms += 3000) replace(1);
    // Those of the minute behind it still wait as well.
    expect(runtime.held?.count).toBeLessThanOrEqual(40);
    for (let ms = 0; ms < 3 * minute; ms += 3000) {
      runtime.receiver.removalsDue();
      replace(1);
    }
    expect([runtime.size, runtime.held]).toEqual([52, undefined]);
  });

  it('wait ten minutes each from when they were asked for', () => {
    const runtime = new Runtime(...adapters(10));
    runtime.commit({ remove: keys(0, 6) });
    runtime.clock.advance(9 * minute);
    runtime.commit({ remove: keys(6, 10) });
    expect(runtime.held).toMatchObject({ count: 10, remainingMs: minute });
    runtime.clock.advance(minute);
    expect(runtime.receiver.removalsDue()).toMatchObject({ removals: { count: 4, remainingMs: 9 * minute } });
    expect(runtime.size).toBe(4);
  });

  it('happen at the next commit when their time is over', () => {
    const runtime = new Runtime(...adapters(10));
    runtime.commit({ remove: keys(0, 6) });
    runtime.clock.advance(10 * minute);
    expect(runtime.commit({ put: [split('s')] })).toMatchObject({ removals: undefined });
    expect(runtime.size).toBe(5);
  });

  it('are given up when a later commit puts the resource, also one that is refused', () => {
    const runtime = new Runtime(...adapters(4));
    runtime.commit({ remove: keys(0, 4) });
    runtime.commit({ put: [adapter('a-0'), adapter('a-1', { priority: 7 })] });
    expect(runtime.held?.count).toBe(2);
    runtime.receiver.put({ ...resourceToWire(versioned(adapter('a-2'))), version: 'wrong' });
    runtime.commit({});
    expect(runtime.held?.count).toBe(1);
    runtime.clock.advance(10 * minute);
    expect([...(runtime.receiver.removalsDue()?.plan.keys() ?? [])]).toEqual(keys(0, 3));
  });
});

describe('a confirmation', () => {
  it('lets happen what was reported, and nothing else', () => {
    const runtime = new Runtime(...adapters(10));
    const { removals } = runtime.commit({ remove: keys(0, 6) });
    runtime.commit({ confirmed: 'ffffffffffffffff' });
    expect(runtime.size).toBe(10);
    // In the same commit something else is asked for: nobody has seen that.
    const done = runtime.commit({ remove: keys(6, 9), confirmed: removals?.fingerprint ?? '' });
    expect([runtime.size, done.removals?.count]).toEqual([4, 3]);
  });

  it('that is there already lets the removals happen that it names', () => {
    const runtime = new Runtime(...adapters(10));
    const confirmed = new Runtime(...adapters(10)).commit({ remove: keys(0, 6) }).removals?.fingerprint ?? '';
    expect(runtime.commit({ remove: keys(0, 6), confirmed })).toMatchObject({ removals: undefined });
    expect(runtime.size).toBe(4);
  });

  it('is not one for objects of the same names that were created again', () => {
    const runtime = new Runtime(...adapters(10));
    const confirmed = runtime.commit({ remove: keys(0, 6) }).removals?.fingerprint ?? '';
    runtime.commit({ confirmed });
    runtime.commit({ put: adapters(10, { uid: 'another' }) });
    runtime.commit({ remove: keys(0, 6), confirmed });
    expect([runtime.size, runtime.held?.count]).toEqual([10, 6]);
  });

  it('does not make the next small removal wait', () => {
    const runtime = new Runtime(...adapters(20));
    const confirmed = runtime.commit({ remove: keys(0, 12) }).removals?.fingerprint ?? '';
    runtime.commit({ confirmed });
    runtime.commit({ remove: keys(12, 14) });
    expect([runtime.size, runtime.held]).toEqual([6, undefined]);
  });
});

describe('held-back removals and streams', () => {
  it('go on with the time that is left when another stream asks for them again', () => {
    const runtime = new Runtime(...adapters(4));
    runtime.commit({ remove: keys(0, 4) });
    runtime.clock.advance(4 * minute);
    runtime.connect();
    expect(runtime.held).toBeUndefined();
    runtime.commit({ remove: keys(0, 4) });
    expect(runtime.held?.remainingMs).toBe(6 * minute);
  });

  it('go on with the time that is left also when the other stream has something else to say first', () => {
    const runtime = new Runtime(...adapters(4));
    runtime.commit({ remove: keys(0, 4) });
    runtime.clock.advance(9 * minute);
    runtime.connect();
    runtime.commit({ put: [split('s')] });
    expect(runtime.held).toBeUndefined();
    runtime.clock.advance(5000);
    runtime.commit({ remove: keys(0, 4) });
    expect(runtime.held).toMatchObject({ count: 4, remainingMs: minute - 5000 });
  });

  it('go on with the time that was left when the process was restarted', () => {
    const runtime = new Runtime(...adapters(4));
    runtime.commit({ remove: keys(0, 4) });
    runtime.clock.advance(4 * minute);
    runtime.restart();
    runtime.commit({ remove: keys(0, 4) });
    expect(runtime.held?.remainingMs).toBe(6 * minute);
  });

  it('are new ones for a stream that had a minute to ask for them, and did not', () => {
    const runtime = new Runtime(...adapters(10));
    runtime.commit({ remove: keys(0, 8) });
    // The plan has them again, with nothing to send. Later they are gone once more.
    runtime.connect();
    runtime.clock.advance(60 * minute);
    expect(runtime.commit({ remove: keys(0, 8) })).toMatchObject({ changed: false });
    expect(runtime.held).toMatchObject({ count: 8, remainingMs: 10 * minute });
    runtime.clock.advance(10 * minute);
    runtime.receiver.removalsDue();
    expect(runtime.size).toBe(2);
  });

  it('never happen while no stream asks for them', () => {
    const runtime = new Runtime(...adapters(4));
    runtime.commit({ remove: keys(0, 4) });
    runtime.receiver.broken();
    runtime.clock.advance(60 * minute);
    expect(runtime.receiver.removalsDue()).toBeUndefined();
    runtime.connect();
    expect(runtime.receiver.removalsDue()).toBeUndefined();
    // The next operator found them in the Hello and wants them: it has a minute to say otherwise.
    runtime.commit({ put: [split('s')] });
    expect([runtime.size, runtime.receiver.removalsDue(), runtime.held]).toEqual([5, undefined, undefined]);
    runtime.clock.advance(minute + 1);
    runtime.commit({});
    expect([runtime.size, runtime.receiver.removalsDue(), runtime.receiver.held().removals]).toEqual([
      5,
      undefined,
      [],
    ]);
    // So this is a new removal.
    runtime.commit({ remove: keys(0, 4) });
    expect(runtime.held?.remainingMs).toBe(10 * minute);
  });

  it('happen at once when their time was over before they are asked for again', () => {
    const runtime = new Runtime(...adapters(4));
    runtime.commit({ remove: keys(0, 4) });
    runtime.receiver.broken();
    runtime.clock.advance(10 * minute);
    runtime.connect();
    runtime.commit({ remove: keys(0, 4) });
    expect(runtime.size).toBe(0);
  });

  it('begin anew with another cluster', () => {
    const runtime = new Runtime(...adapters(4));
    runtime.commit({ remove: keys(0, 4) });
    runtime.clock.advance(9 * minute);
    runtime.receiver.trust();
    runtime.connect();
    runtime.commit({ remove: keys(0, 4) });
    expect(runtime.held?.remainingMs).toBe(10 * minute);
  });
});
