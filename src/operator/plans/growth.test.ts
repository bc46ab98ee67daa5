import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type GroupStatus, groupPoints } from '../../api/group-status.ts';
import { digestSchema, objectKey } from '../../api/names.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { noRevision } from '../../control/revision.ts';
import { type Batch, Sender } from '../../control/sender.ts';
import { resourceToWire } from '../../control/wire.ts';
import { anAdapter, aPolicy, aRollout, aRoute, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeObjects } from './fake-objects.ts';
import { Plans } from './plans.ts';

const digest = digestSchema.parse(`sha256:${'0'.repeat(64)}`);
const adapter = (name: string, more = {}) =>
  anAdapter({ name }, { digest, preload: { tier: 'Disk' }, ...more });
const canary = { ...bound('v2'), seed: '0123456789abcdef', attempt: 1 };

/** A runtime that takes everything at once, and what it was sent. */
class Sent {
  readonly sender = new Sender({ held: new Map(), revision: noRevision, subscriptions: [] });
  messages = 0;
  bytes = 0;
  keys: string[] = [];
  look = (): void => undefined;
  take({ puts, removes, commit }: Batch): void {
    this.messages += puts.length + removes.length + 1;
    for (const put of puts) this.bytes += resourceToWire(put).body.length;
    this.keys.push(...puts.map(({ type, name }) => `${type} ${name}`), ...removes);
    this.sender.acknowledged(commit.nonce, []);
  }
}

let objects: FakeObjects;
let clock: FakeClock;
let plans: Plans;
/** Names of runtimes in the order in which they were told. */
let told: string[];
beforeEach(() => {
  objects = new FakeObjects();
  clock = new FakeClock();
  plans = new Plans({ objects, clock });
  told = [];
});
afterEach(() => plans.close());

const follow = (name: string, baseModel = 'tiny'): Sent => {
  const sent = new Sent();
  const key = objectKey('nodes', name);
  objects.runtime('nodes', name);
  sent.look = () => {
    const now = following.plan();
    if (now === undefined) return;
    const batch = sent.sender.next({ ...now, mayRemove: () => true, confirmedRemovals: '' });
    if (batch !== undefined) sent.take(batch);
    following.settled({ names: sent.sender.subscriptions, hearsAll: false });
  };
  const following = plans.follow({ key, kind: 'Node', baseModel }, () => {
    told.push(name);
    sent.look();
  });
  return sent;
};
/** An Adapter, and how often its spec was read. */
const counted = (name: string, at: number) => {
  const one = anAdapter({ name, at }, { digest, preload: { tier: 'Disk' } });
  const { spec } = one;
  return Object.defineProperty({ ...one }, 'spec', {
    enumerable: true,
    get: () => {
      reads += 1;
      return spec;
    },
  });
};
let reads = 0;

/** What plans and streams do until nothing happens any more. */
const workOf = (runtimes: readonly Sent[], change: () => void) => {
  const before = plans.gauges();
  const messages = runtimes.map((one) => one.messages);
  const bytes = runtimes.map((one) => one.bytes);
  told = [];
  change();
  clock.advance(1_000);
  const after = plans.gauges();
  const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0);
  return {
    compilations: after.compilations - before.compilations,
    resources: after.resources - before.resources,
    told: told.length,
    messages: sum(runtimes.map((one, index) => one.messages - (messages[index] ?? 0))),
    bytes: sum(runtimes.map((one, index) => one.bytes - (bytes[index] ?? 0))),
  };
};
const rollout = (name: string, status: Partial<RolloutStatus>): void =>
  objects.rollouts.put(aRollout({ name }, { adapter: 'v2' }, aStatus({ stable: bound('v1'), ...status })));
const group = (name: string, more: Partial<GroupStatus>): GroupStatus => ({
  name,
  phase: 'Progressing',
  hash: '',
  reach: 0,
  weight: 0,
  step: 0,
  message: '',
  ...more,
});
/** In a group that is over, in one under way, and in none yet. */
const inGroups = (weight: number): Partial<RolloutStatus> => ({
  canary,
  weights: { canary: weight, stable: 100 - weight },
  groups: [
    group('first', { phase: 'Succeeded', reach: groupPoints / 50, weight: 100 }),
    group('second', { reach: groupPoints / 10, weight }),
    group('rest', { phase: 'Pending' }),
  ],
});
const adapters = (count: number): void => {
  for (const name of ['v1', 'v2', ...Array.from({ length: count }, (_, n) => `a-${n}`)])
    objects.adapters.put(adapter(name));
};

describe('the work for a change', () => {
  it('of an adapter is one resource, and one message for each runtime that has it, however many there are', () => {
    adapters(2_000);
    const runtimes = Array.from({ length: 100 }, (_, n) => follow(`n-${n}`));
    const others = Array.from({ length: 20 }, (_, n) => follow(`o-${n}`, `other-${n}`));
    clock.advance(1_000);
    expect(runtimes.map(({ keys }) => keys.length)).toEqual(runtimes.map(() => 2_002));
    const work = workOf([...runtimes, ...others], () =>
      objects.adapters.put(adapter('a-7', { priority: 3 })),
    );
    // A table of each base model looks at it: 20 of them find nothing.
    expect(work).toMatchObject({ compilations: 21, resources: 21, told: 100, messages: 200 });
    expect(runtimes[0]?.keys.at(-1)).toBe('AdapterSpec team-a/a-7');
    expect(work.bytes).toBeLessThan(100 * 500);
  });

  it('of an adapter that nobody is sent is told to those that asked for it', () => {
    objects.adapters.put(anAdapter({ name: 'free' }, { digest }));
    const runtimes = ['a', 'b', 'c'].map((name) => follow(name));
    clock.advance(100);
    runtimes[1]?.sender.subscribe(['team-a/free']);
    runtimes[1]?.look();
    const work = workOf(runtimes, () =>
      objects.adapters.put(anAdapter({ name: 'free' }, { digest, priority: 2 })),
    );
    expect(work).toMatchObject({ told: 1, messages: 2 });
    expect(told).toEqual(['b']);
  });

  it('of nothing is told to a restrained runtime alone, whose plan depends on more', () => {
    adapters(0);
    const runtimes = ['a', 'b'].map((name) => follow(name));
    const key = objectKey('nodes', 'c');
    objects.runtime('nodes', 'c');
    const restrained = plans.follow({ key, kind: 'Node', baseModel: 'tiny' }, () => told.push('c'));
    rollout('r', {});
    clock.advance(100);
    restrained.settled({ names: new Set(), hearsAll: true });
    const work = workOf(runtimes, () => rollout('r', { completionStatus: 'FastRolledBack' }));
    expect(work).toMatchObject({ compilations: 1, messages: 0 });
    expect(told).toEqual(['c']);
  });

  it('is nothing for a checkpoint of a pause, whatever it says', () => {
    adapters(10);
    const runtimes = ['a', 'b'].map((name) => follow(name));
    const pause = (elapsedMs: number): void => {
      const step = { index: 1, total: 3, hash: 'x', elapsedMs, promoted: false };
      const weights = { canary: 20, stable: 80, observedCanary: elapsedMs % 100 };
      const progress = { reason: 'Waiting', waitedMs: elapsedMs, ready: 2 };
      const message = `waits since ${elapsedMs} ms`;
      for (const name of ['r', 's'])
        rollout(name, { phase: 'Paused', canary, weights, step, message, progress, revision: elapsedMs });
    };
    pause(0);
    clock.advance(1_000);
    const work = workOf(runtimes, () => {
      for (let n = 1; n <= 20; n += 1) pause(30_000 * n);
    });
    expect(work).toEqual({ compilations: 0, resources: 0, told: 0, messages: 0, bytes: 0 });
  });

  it('of rollouts in groups does not multiply with their number', () => {
    adapters(500);
    const runtimes = Array.from({ length: 500 }, (_, n) => follow(`n-${n}`));
    const viewsOf = (count: number): number => {
      for (let n = 0; n < count; n += 1) rollout(`r-${n}`, inGroups(20));
      clock.advance(2_000);
      return plans.gauges().views;
    };
    expect([viewsOf(3), viewsOf(10)]).toEqual([7, 21]);
    // Not in a group, and so the same for all of them.
    const common = workOf(runtimes, () => objects.adapters.put(adapter('a-7', { priority: 3 })));
    expect(common).toMatchObject({ compilations: 1, resources: 1, told: 500, messages: 1_000 });
    const step = workOf(runtimes, () => rollout('r-3', inGroups(50)));
    // Its Split and the two adapters that it names, for each runtime; the second group alone hears of it.
    expect(step.resources).toBe(3 * 501);
    expect(step.told).toBeGreaterThan(20);
    expect(step.told).toBeLessThan(60);
    expect(step.messages).toBe(2 * step.told);
  });

  it('of a runtime that joins is what varies, and what it is sent', () => {
    adapters(500);
    for (const name of ['r', 's', 't']) rollout(name, inGroups(20));
    const first = follow('first');
    clock.advance(1_000);
    const late: Sent[] = [];
    const work = workOf([first], () => late.push(follow('late')));
    // Three Splits and the two adapters that they name.
    expect(work).toMatchObject({ compilations: 0, resources: 5, told: 1, messages: 0 });
    expect(late[0]?.keys).toHaveLength(505);
  });
});

describe('the delivery of plans', () => {
  it('reaches every base model while a change comes in each turn of the event loop', () => {
    adapters(10);
    const models = Array.from({ length: 20 }, (_, n) => `m-${n}`);
    for (const model of models) follow(model, model);
    clock.advance(1_000);
    told = [];
    let turns = 0;
    const disturb = (): void => {
      turns += 1;
      objects.routes.put(aRoute({ name: 'x' }, { model: `x-${turns}` }));
      if (turns < 60) clock.after(0, disturb);
    };
    clock.after(20, disturb);
    clock.advance(20);
    expect(turns).toBe(60);
    const counts = models.map((model) => told.filter((name) => name === model).length);
    expect(Math.min(...counts)).toBeGreaterThan(0);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });

  it('tells an abort before what was stale for longer, and a bounded number in a turn', () => {
    adapters(0);
    objects.adapters.put(adapter('o', { baseModel: 'other' }));
    rollout('r', { canary, weights: { canary: 20, stable: 80 } });
    for (let n = 0; n < 200; n += 1) follow(`o-${n}`, 'other');
    for (let n = 0; n < 100; n += 1) follow(`n-${n}`);
    clock.advance(1_000);
    told = [];
    const perTurn: number[] = [];
    const look = (): void => {
      perTurn.push(told.length);
      if (told.length < 300) clock.after(0, look);
    };
    objects.adapters.put(adapter('o', { baseModel: 'other', priority: 1 }));
    const abort = { at: '2026-01-01T00:00:00Z', reason: '', uid: canary.uid, digest };
    rollout('r', { canary, weights: { canary: 0, stable: 100 }, abort });
    expect(plans.gauges().ages).toEqual({ p50: 0, p99: 0, max: 0 });
    clock.after(0, look);
    clock.advance(0);
    expect(told).toHaveLength(300);
    expect(told.slice(0, 100).every((name) => name.startsWith('n-'))).toBe(true);
    expect(Math.max(...perTurn.map((one, turn) => one - (perTurn[turn - 1] ?? 0)))).toBeLessThanOrEqual(64);
  });

  it('compiles what an abort touches before everything else that waits', () => {
    adapters(0);
    rollout('r', { canary, weights: { canary: 20, stable: 80 } });
    const followPod = (namespace: string): void => {
      objects.runtime(namespace, 'pod');
      const key = objectKey(namespace, 'pod');
      plans.follow({ key, kind: 'Pod', baseModel: 'tiny' }, () => told.push(namespace));
    };
    for (let n = 0; n < 30; n += 1) followPod(`team-${n}`);
    followPod('team-a');
    clock.advance(1_000);
    told = [];
    let turns = 0;
    const look = (): void => {
      if (told.length === 0) turns += 1;
      if (turns < 60 && told.length === 0) clock.after(0, look);
    };
    objects.policies.put(aPolicy('adaptlet-system'));
    const abort = { at: '2026-01-01T00:00:00Z', reason: '', uid: canary.uid, digest };
    rollout('r', { canary, weights: { canary: 0, stable: 100 }, abort });
    clock.after(0, look);
    clock.advance(100);
    expect([told[0], turns]).toEqual(['team-a', 0]);
    expect(new Set(told).size).toBe(31);
  });

  it('says how long runtimes have lacked something', () => {
    adapters(0);
    follow('a');
    const slow = plans.follow(
      { key: objectKey('nodes', 'b'), kind: 'Node', baseModel: 'tiny' },
      () => undefined,
    );
    objects.runtime('nodes', 'b');
    clock.advance(30_000);
    expect(plans.gauges().ages).toEqual({ p50: 0, p99: 30_000, max: 30_000 });
    slow.settled({ names: new Set(), hearsAll: false });
    expect(plans.gauges().ages).toEqual({ p50: 0, p99: 0, max: 0 });
    objects.adapters.put(adapter('v1', { priority: 1 }));
    clock.advance(2_000);
    expect(plans.gauges().ages).toEqual({ p50: 0, p99: 2_000, max: 2_000 });
  });
});

describe('a namespace with more Adapters than its policy lets count', () => {
  const readsFor = (count: number): number => {
    objects.policies.put(aPolicy('team-a', { limits: { adapters: 5 } }));
    for (let i = 0; i < count; i += 1) objects.adapters.put(counted(`a${i}`, i));
    clock.advance(1_000);
    reads = 0;
    for (let i = count; i < 2 * count; i += 1) objects.adapters.put(counted(`a${i}`, i));
    clock.advance(1_000);
    for (let i = count; i < 2 * count; i += 1) objects.adapters.delete(objectKey('team-a', `a${i}`));
    clock.advance(1_000);
    return reads;
  };

  it('costs with each that comes or goes what it costs with few', () => {
    follow('one');
    const few = readsFor(20);
    const many = readsFor(200);
    expect(many / few).toBeLessThan(15);
  });
});

describe('a namespace that chooses among nodes', () => {
  const nodes = { matchLabels: { pool: 'edge' } };
  /** Runtimes of which every other one is chosen. */
  const halves = (count: number) => {
    const runtimes = Array.from({ length: count }, (_, n) => follow(`n-${n}`));
    for (let n = 0; n < count; n += 2) objects.runtime('nodes', `n-${n}`, { pool: 'edge' });
    clock.advance(1_000);
    return runtimes;
  };

  it('costs two looks for a change, however many nodes there are, and tells those that it chooses', () => {
    objects.policies.put(aPolicy('team-a', { runtimes: { nodes } }));
    adapters(2_000);
    const runtimes = halves(100);
    expect(runtimes.map(({ keys }) => keys.length)).toEqual(
      runtimes.map((_, n) => (n % 2 === 0 ? 2_003 : 1)),
    );
    const work = workOf(runtimes, () => objects.adapters.put(adapter('a-7', { priority: 3 })));
    expect(work).toMatchObject({ compilations: 1, resources: 2, told: 50, messages: 100 });
  });

  it('costs who joins one look, and nobody an entry of its own', () => {
    objects.policies.put(aPolicy('team-a', { runtimes: { nodes } }));
    adapters(2_000);
    halves(4);
    expect(workOf([], () => follow('late')).resources).toBe(1);
    const planOf = (name: string) => {
      const info = { key: objectKey('nodes', name), kind: 'Node', baseModel: 'tiny' } as const;
      const following = plans.follow(info, () => undefined);
      clock.advance(1_000);
      return following.plan()?.plan;
    };
    const [chosen, other] = ['n-0', 'n-1'].map(planOf);
    expect(planOf('n-2')).toBe(chosen);
    expect(planOf('n-3')).toBe(other);
    expect([chosen?.size, other?.size]).toEqual([2_003, 1]);
  });

  it('tells those that it chooses no more, or now, and nobody else', () => {
    objects.policies.put(aPolicy('team-a', { runtimes: { nodes } }));
    objects.policies.put(aPolicy('team-b', { runtimes: { nodes } }));
    adapters(20);
    const runtimes = halves(8);
    workOf(runtimes, () => objects.runtime('nodes', 'n-1', { pool: 'edge' }));
    expect(told).toEqual(['n-1']);
    objects.runtime('nodes', 'n-3', { pool: 'lab' });
    clock.advance(1_000);
    told = [];
    const lab = { matchLabels: { pool: 'lab' } };
    const work = workOf(runtimes, () =>
      objects.policies.put(aPolicy('team-a', { runtimes: { nodes: lab } })),
    );
    expect(told.toSorted()).toEqual(['n-0', 'n-1', 'n-2', 'n-3', 'n-4', 'n-6']);
    // Each of its objects for both sides, and each runtime once.
    expect(work.resources).toBe(2 * 23 + 8);
  });
});

it('what was deleted of a namespace that has nodes of its own costs whoever joins nothing', () => {
  objects.policies.put(aPolicy('team-a', { runtimes: { nodes: { matchLabels: { pool: 'edge' } } } }));
  follow('one');
  for (let i = 0; i < 50; i += 1) objects.adapters.put(adapter(`a${i}`));
  clock.advance(1_000);
  for (let i = 0; i < 50; i += 1) objects.adapters.delete(objectKey('team-a', `a${i}`));
  expect(workOf([], () => follow('two')).resources).toBeLessThan(60);
  expect(workOf([], () => follow('three')).resources).toBeLessThan(5);
});
