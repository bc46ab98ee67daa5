import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GroupStatus } from '../../api/group-status.ts';
import { digestSchema, objectKey } from '../../api/names.ts';
import { compilePlan } from '../../plan/compile.ts';
import { anAdapter, aRollout, aRoute, aStatus, bound } from '../../plan/manifests.fixture.ts';
import { groupPointOf } from '../../rollout/groups/membership.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeObjects } from './fake-objects.ts';
import { inputOf } from './inputs.ts';
import { type Following, Plans } from './plans.ts';

const digest = digestSchema.parse(`sha256:${'0'.repeat(64)}`);
const key = (name: string) => objectKey('nodes', name);

let objects: FakeObjects;
let clock: FakeClock;
let plans: Plans;
beforeEach(() => {
  objects = new FakeObjects();
  clock = new FakeClock();
  plans = new Plans({ objects, clock });
});
afterEach(() => plans.close());

const follow = (
  name: string,
  labels: Record<string, string> = {},
  baseModel = 'tiny',
): Following & { told: number } => {
  objects.runtime('nodes', name, labels);
  const state = { told: 0 };
  const following = plans.follow({ key: key(name), kind: 'Node', baseModel }, () => {
    state.told += 1;
  });
  return Object.assign(state, {
    plan: () => following.plan(),
    settled: (settled: Parameters<Following['settled']>[0]) => following.settled(settled),
    close: () => following.close(),
  });
};
const keysOf = (following: Following): string[] => [...(following.plan()?.plan.keys() ?? [])];
const adapter = (name: string, more = {}) => anAdapter({ name }, { digest, ...more });

describe('the plans of runtimes', () => {
  it('are compiled once for all runtimes that see the objects alike', () => {
    objects.adapters.put(adapter('sql'));
    const all = ['a', 'b', 'c'].map((name) => follow(name, { 'kubernetes.io/hostname': name }));
    clock.advance(10);
    expect(new Set(all.map((one) => one.plan()?.plan)).size).toBe(1);
    expect(plans.gauges()).toMatchObject({ views: 1, compilations: 1 });
    expect(all.map(({ told }) => told)).toEqual([1, 1, 1]);
  });

  it('are two when a selector names one of many nodes', () => {
    objects.adapters.put(adapter('sql'));
    const [a, b, c] = ['a', 'b', 'c'].map((name) => follow(name, { host: name }));
    objects.rollouts.put(
      aRollout({ name: 'r' }, { adapter: 'sql', runtimeSelector: { matchLabels: { host: 'b' } } }, aStatus()),
    );
    clock.advance(50);
    expect(plans.gauges().views).toBe(2);
    expect(a?.plan()?.plan).toBe(c?.plan()?.plan);
    expect(a?.plan()?.plan.get('Split team-a/r')).not.toEqual(b?.plan()?.plan.get('Split team-a/r'));
  });

  it('are compiled once for a burst of changes, and not more often than every 10 ms', () => {
    const a = follow('a');
    for (let n = 0; n < 100; n++) objects.adapters.put(adapter(`a-${n}`));
    clock.advance(0);
    expect(plans.gauges().compilations).toBe(1);
    expect(keysOf(a)).toHaveLength(100);
    objects.adapters.put(adapter('more'));
    clock.advance(9);
    expect(plans.gauges().compilations).toBe(1);
    clock.advance(1);
    expect(plans.gauges().compilations).toBe(2);
    expect(keysOf(a)).toHaveLength(101);
  });

  it('do not claim what came after they were compiled', () => {
    const a = follow('a');
    objects.adapters.put(adapter('one'));
    clock.advance(10);
    const before = objects.revision();
    expect(a.plan()?.revision).toEqual(before);
    objects.adapters.put(adapter('two'));
    expect(a.plan()?.revision).toEqual(before);
    expect(keysOf(a)).toHaveLength(1);
    clock.advance(10);
    expect(a.plan()?.revision).toEqual(objects.revision());
  });

  it('move on with bookmarks, without a compilation', () => {
    const a = follow('a');
    clock.advance(10);
    objects.progress({ adapters: 500n });
    expect(a.plan()?.seen.adapters).toBe(500n);
    expect(plans.gauges().compilations).toBe(1);
  });

  it('do not notice what the leader counts in statuses', () => {
    objects.adapters.put(adapter('sql'));
    const status = aStatus({ stable: bound('sql') });
    objects.rollouts.put(aRollout({ name: 'r' }, { adapter: 'sql' }, status));
    follow('a');
    clock.advance(10);
    const runtimes = { desired: 3, updated: 3, ready: 3, failed: 0, held: 0, offline: 0 };
    const metric = { name: 'errors', phase: 'Running', taken: 1, failed: 0, inconclusive: 0 } as const;
    const analysis = [{ ...metric, measured: 1, consecutiveErrors: 0, waitedMs: 0, message: 'ok' }];
    const startedAt = '2026-01-01T00:00:00Z';
    objects.rollouts.put(
      aRollout(
        { name: 'r' },
        { adapter: 'sql' },
        { ...status, runtimes, leaderEpoch: 4, analysis, startedAt },
      ),
    );
    clock.advance(10);
    expect(plans.gauges().compilations).toBe(1);
    objects.rollouts.put(
      aRollout({ name: 'r' }, { adapter: 'sql' }, { ...status, weights: { canary: 5, stable: 95 } }),
    );
    clock.advance(10);
    expect(plans.gauges().compilations).toBe(2);
  });

  it('share the resources that did not change, and the whole plan when nothing did', () => {
    for (const name of ['one', 'two']) objects.adapters.put(adapter(name));
    const a = follow('a');
    clock.advance(10);
    const before = a.plan()?.plan;
    objects.adapters.put(adapter('one', { priority: 5 }));
    clock.advance(10);
    const after = a.plan()?.plan;
    expect(after?.get('AdapterSpec team-a/two')).toBe(before?.get('AdapterSpec team-a/two'));
    expect(after?.get('AdapterSpec team-a/one')).not.toBe(before?.get('AdapterSpec team-a/one'));
    objects.routes.put(aRoute({ name: 'x' }));
    objects.routes.delete(objectKey('team-a', 'x'));
    clock.advance(10);
    expect(a.plan()?.plan).toBe(after);
    expect(a.told).toBe(3);
  });

  it('leave out an Adapter without a digest, which still keeps its name', () => {
    objects.adapters.put(anAdapter({ name: 'sql', at: 1 }));
    objects.rollouts.put(aRollout({ name: 'sql', at: 2 }, { adapter: 'sql' }, aStatus()));
    const a = follow('a');
    clock.advance(10);
    expect(keysOf(a)).toEqual([]);
    const resolved = { ...anAdapter({ name: 'sql', at: 1 }), status: { digest } } as ReturnType<
      typeof anAdapter
    >;
    objects.adapters.put(resolved);
    clock.advance(10);
    expect(keysOf(a)).toEqual(['AdapterSpec team-a/sql']);
    expect(a.plan()?.plan.get('AdapterSpec team-a/sql')?.body).toMatchObject({ digest });
  });

  it('keep an object that is being deleted while a finalizer holds it', () => {
    const dying = adapter('sql');
    const metadata = {
      ...dying.metadata,
      deletionTimestamp: '2026-01-01T00:00:00Z',
      finalizers: ['adaptlet.io/in-use'],
    };
    objects.adapters.put({ ...dying, metadata });
    const a = follow('a');
    clock.advance(10);
    expect(keysOf(a)).toEqual(['AdapterSpec team-a/sql']);
  });

  it('withhold what is there and not valid', () => {
    objects.routes.put(aRoute({ name: 'x' }));
    const a = follow('a');
    clock.advance(10);
    objects.routes.put(aRoute({ name: 'x' }), false);
    clock.advance(10);
    expect(a.plan()).toMatchObject({ withheld: new Set(['Route team-a/x']) });
    expect(keysOf(a)).toEqual([]);
  });

  it('follow the labels of the AdapterRuntime, and wait for it', () => {
    const selector = { runtimeSelector: { matchLabels: { accelerator: 'npu' } } };
    objects.adapters.put(adapter('sql', { preload: { tier: 'Memory', ...selector } }));
    const tier = () =>
      (a.plan()?.plan.get('AdapterSpec team-a/sql')?.body as { tier?: string } | undefined)?.tier;
    const a = plans.follow({ key: key('a'), kind: 'Node', baseModel: 'tiny' }, () => undefined);
    clock.advance(10);
    expect(a.plan()).toBeUndefined();
    objects.runtime('nodes', 'a');
    clock.advance(20);
    expect(tier()).toBe('None');
    objects.runtime('nodes', 'a', { accelerator: 'npu' });
    clock.advance(20);
    expect(tier()).toBe('Memory');
    objects.runtimes.delete(key('a'));
    clock.advance(20);
    expect(a.plan()).toBeUndefined();
  });

  it('are as many as groups give different things, and follow a runtime from one to the next', () => {
    objects.adapters.put(adapter('one'));
    objects.adapters.put(adapter('two'));
    const all = ['a', 'b', 'c', 'd'].map((name) => follow(name));
    const points = ['a', 'b', 'c', 'd'].map((name) => groupPointOf('AdapterRollout-team-a-r', key(name)));
    const [first = 0, second = 0] = points.toSorted((x, y) => x - y);
    const put = (...groups: readonly Partial<GroupStatus>[]): void => {
      const status = aStatus({
        stable: bound('one'),
        canary: { ...bound('two'), seed: '0123456789abcdef', attempt: 1 },
        weights: { canary: 20, stable: 80 },
        groups: groups.map(
          (group, i): GroupStatus => ({
            name: `g${i}`,
            phase: 'Progressing',
            hash: '',
            reach: 0,
            weight: 0,
            step: 0,
            message: '',
            ...group,
          }),
        ),
      });
      objects.rollouts.put(aRollout({ name: 'r' }, { adapter: 'two' }, status));
      clock.advance(100);
    };
    const weights = () =>
      all.map(
        (one) => (one.plan()?.plan.get('Split team-a/r')?.body as { weight?: number } | undefined)?.weight,
      );
    const expected = (...given: readonly number[]) =>
      points.map((point) => (point <= first ? given[0] : point <= second ? given[1] : given[2]));
    put({ reach: first + 1, weight: 20 });
    expect(weights()).toEqual(expected(20, 0, 0));
    expect(plans.gauges().views).toBe(2);
    // The view of 20 % is that of another runtime now.
    put({ phase: 'Succeeded', reach: first + 1, weight: 100 }, { reach: second + 1, weight: 20 });
    expect(weights()).toEqual(expected(100, 20, 0));
    expect(plans.gauges().views).toBe(3);
    put(
      { phase: 'Succeeded', reach: first + 1, weight: 100 },
      { phase: 'Succeeded', reach: second + 1, weight: 100 },
    );
    expect(weights()).toEqual(expected(100, 100, 0));
    expect(plans.gauges().views).toBe(2);
  });

  it('are of the base model of each runtime, and end with the last one that has it', () => {
    objects.adapters.put(adapter('sql'));
    const [tiny, other] = [follow('a'), follow('b', {}, 'other')];
    clock.advance(20);
    expect([keysOf(tiny).length, keysOf(other).length]).toEqual([1, 0]);
    expect(plans.gauges().views).toBe(2);
    other.close();
    clock.advance(20);
    expect(plans.gauges().views).toBe(1);
  });

  it('are compiled one after the other, so that others get their turn', () => {
    objects.adapters.put(adapter('sql'));
    const turns: number[] = [];
    for (const baseModel of ['m1', 'm2', 'm3']) follow(baseModel, {}, baseModel);
    const stop = new AbortController();
    const look = (): void => {
      turns.push(plans.gauges().compilations);
      if (!stop.signal.aborted) clock.after(0, look);
      if (turns.length > 10) stop.abort();
    };
    clock.after(0, look);
    clock.advance(10);
    expect(turns).toEqual(expect.arrayContaining([1, 2, 3]));
  });
});

describe('the input of plans', () => {
  const status = fc.record({
    message: fc.constantFrom('', 'x'),
    revision: fc.nat(3),
    weights: fc.constantFrom({ canary: 0, stable: 100 }, { canary: 5, stable: 95 }),
    observedGeneration: fc.nat(3),
    leaderEpoch: fc.nat(3),
    stable: fc.constantFrom(bound('one'), bound('two')),
    runtimes: fc.constantFrom(
      { desired: 0, updated: 0, ready: 0, failed: 0, held: 0, offline: 0 },
      { desired: 1, updated: 0, ready: 0, failed: 0, held: 0, offline: 0 },
    ),
    conditions: fc.constantFrom(
      [],
      [{ type: 'Ready', status: 'True', reason: 'x', message: '', lastTransitionTime: '' }],
    ),
  });
  it('is another one whenever the plan is', () => {
    fc.assert(
      fc.property(status, status, (a, b) => {
        const [one, two] = [a, b].map((each) =>
          aRollout({ name: 'r' }, { adapter: 'one' }, aStatus(each as never)),
        );
        const read = (object: typeof one) => {
          objects.rollouts.put(object as NonNullable<typeof one>);
          return objects.rollouts.get(objectKey('team-a', 'r')) as never;
        };
        if (inputOf(read(one)) !== inputOf(read(two))) return;
        const [x, y] = [one, two].map((object) =>
          compilePlan({
            manifests: [adapter('one'), object as never],
            runtime: { baseModel: 'tiny', labels: {} },
          }),
        );
        expect(x?.plan).toEqual(y?.plan);
      }),
      { numRuns: 500 },
    );
  });

  it('of a pod have what is of its namespace, also of selectors and of what cannot be read', () => {
    for (const namespace of ['team-a', 'team-b']) {
      objects.adapters.put(anAdapter({ name: 'sql', namespace }, { digest }));
      objects.rollouts.put(aRollout({ name: 'r', namespace }, { adapter: 'sql' }, aStatus()));
      objects.routes.put(aRoute({ name: 'way', namespace }, {}));
    }
    objects.routes.put(aRoute({ name: 'x', namespace: 'team-b' }), false);
    const followPod = (namespace: string, name: string): Following => {
      objects.runtime(namespace, name);
      const identity = { key: objectKey(namespace, name), kind: 'Pod', baseModel: 'tiny' } as const;
      return plans.follow(identity, () => undefined);
    };
    const [first, second, other] = [
      followPod('team-a', '1'),
      followPod('team-a', '2'),
      followPod('team-c', '1'),
    ];
    const node = follow('n');
    clock.advance(100);
    expect(keysOf(first)).toEqual(['AdapterSpec team-a/sql', 'Route team-a/way', 'Split team-a/r']);
    expect(first.plan()?.withheld).toEqual(new Set());
    expect(second.plan()?.plan).toBe(first.plan()?.plan);
    expect(keysOf(other)).toEqual([]);
    expect(keysOf(node)).toHaveLength(6);
    expect(plans.gauges().views).toBe(3);
    const selector = { runtimeSelector: { matchLabels: { 'adaptlet.io/x': 'y' } } };
    objects.rollouts.put(
      aRollout({ name: 'r', namespace: 'team-b' }, { adapter: 'sql', ...selector }, aStatus()),
    );
    objects.runtime('team-a', '1', { 'adaptlet.io/x': 'y' });
    clock.advance(100);
    expect(second.plan()?.plan).toBe(first.plan()?.plan);
  });
});
