import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestSchema, objectKey } from '../../api/names.ts';
import { anAdapter, aRollout, aStatus } from '../../plan/manifests.fixture.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { FakeObjects } from './fake-objects.ts';
import { KeptTables } from './kept-tables.ts';
import { type Following, Plans } from './plans.ts';

const digest = digestSchema.parse(`sha256:${'0'.repeat(64)}`);

let objects: FakeObjects;
let clock: FakeClock;
let plans: Plans;
beforeEach(() => {
  objects = new FakeObjects();
  clock = new FakeClock();
  plans = new Plans({ objects, clock });
});
afterEach(() => plans.close());

const follow = (name: string, labels: Record<string, string> = {}, baseModel = 'tiny'): Following => {
  objects.runtime('nodes', name, labels);
  return plans.follow({ key: objectKey('nodes', name), kind: 'Node', baseModel }, () => undefined);
};
const keysOf = (following: Following): string[] => [...(following.plan()?.plan.keys() ?? [])];
const adapter = (name: string, more = {}) => anAdapter({ name }, { digest, ...more });

it('keeps sixteen tables at most, however small they are', () => {
  const dropped: number[] = [];
  const kept = new KeptTables<{ readonly size: number; readonly n: number }>(clock, ({ n }) =>
    dropped.push(n),
  );
  for (let n = 0; n < 20; n++) kept.keep({ size: 0, n });
  expect(dropped).toEqual([0, 1, 2, 3]);
  clock.advance(60_000);
  expect(dropped).toHaveLength(20);
});

describe('plans that nobody follows any more', () => {
  const lookedAt = (): number => plans.gauges().resources;
  const leaveAndComeBack = (name: string, afterMs: number): number => {
    const before = lookedAt();
    clock.advance(afterMs);
    follow(name);
    clock.advance(50);
    return lookedAt() - before;
  };

  it('are there for who comes back within a minute, and compiled anew after it', () => {
    for (let n = 0; n < 100; n++) objects.adapters.put(adapter(`a-${n}`));
    const a = follow('a');
    clock.advance(50);
    const plan = a.plan()?.plan;
    a.close();
    expect(plans.gauges().views).toBe(0);
    clock.advance(59_000);
    const again = follow('a');
    clock.advance(50);
    expect(again.plan()?.plan).toBe(plan);
    again.close();
    expect(leaveAndComeBack('b', 61_000)).toBeGreaterThanOrEqual(100);
  });

  it('have what changed meanwhile, which alone was compiled', () => {
    for (let n = 0; n < 100; n++) objects.adapters.put(adapter(`a-${n}`));
    const a = follow('a');
    clock.advance(50);
    a.close();
    objects.adapters.put(adapter('more'));
    expect(leaveAndComeBack('a', 100)).toBeLessThan(10);
    const b = follow('b');
    clock.advance(50);
    expect(keysOf(b)).toContain('AdapterSpec team-a/more');
  });

  it('are still one for all where labels decide what changed', () => {
    objects.adapters.put(adapter('sql'));
    const rollout = (name: string) =>
      aRollout({ name }, { adapter: 'sql', runtimeSelector: { matchLabels: { zone: 'a' } } }, aStatus());
    objects.rollouts.put(rollout('r'));
    const names = ['a', 'b', 'c'];
    const all = names.map((name) => follow(name, { zone: 'a' }));
    clock.advance(50);
    for (const one of all) one.close();
    objects.rollouts.put(rollout('s'));
    clock.advance(50);
    const again = names.map((name) => follow(name, { zone: 'a' }));
    clock.advance(50);
    expect(keysOf(again[0] ?? expect.fail())).toContain('Split team-a/s');
    expect(new Set(again.map((one) => one.plan()?.plan)).size).toBe(1);
  });

  it('are no more than a bound, the newest first', () => {
    for (let n = 0; n < 6_000; n++) objects.adapters.put(adapter(`a-${n}`));
    for (const model of ['one', 'two', 'three', 'four']) {
      for (let n = 0; n < 6_000; n++) objects.adapters.put(adapter(`${model}-${n}`, { baseModel: model }));
      const following = follow(`of-${model}`, {}, model);
      clock.advance(2_000);
      expect(keysOf(following)).toHaveLength(6_000);
      following.close();
    }
    const before = lookedAt();
    follow('again', {}, 'four');
    clock.advance(2_000);
    expect(lookedAt() - before).toBeLessThan(10);
    follow('others', {}, 'one');
    clock.advance(2_000);
    expect(lookedAt() - before).toBeGreaterThanOrEqual(6_000);
  });

  it('are not compiled to their end for who left before', () => {
    for (let n = 0; n < 1_000; n++) objects.adapters.put(adapter(`a-${n}`));
    follow('a').close();
    clock.advance(5_000);
    expect(lookedAt()).toBe(0);
  });
});
