import { describe, expect, it } from 'vitest';
import type { ObjectKey } from '../../api/names.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { runtimeKey } from '../testing/fake-fleet.ts';
import { type News, WriteBudget, writeRates } from './write-budget.ts';

const secondMs = 1000;

/** Objects that have news, and are written as soon as they may be. */
class Fleet {
  readonly clock = new FakeClock();
  readonly #budget = new WriteBudget(this.clock, writeRates.AdapterRuntime);
  readonly #began = this.clock.monotonic();
  readonly #news = new Map<ObjectKey, { news: News; since: number; lookAt: number }>();
  /** Of each write: when it was, in milliseconds since the beginning, and how old its oldest news was then. */
  readonly writes: { key: ObjectKey; news: News; at: number; ageMs: number }[] = [];

  readonly keys: readonly ObjectKey[];
  /** Writes that failed; undefined: the API server takes all. */
  refused: number | undefined;

  constructor(size: number) {
    this.keys = Array.from({ length: size }, (_, i) => runtimeKey(`n${i}`));
  }

  /** What is new while something waits is written with it. */
  happen(news: News, keys = this.keys): void {
    const now = this.clock.monotonic();
    for (const key of keys) {
      const known = this.#news.get(key);
      const isMore = known === undefined || (known.news === 'Observation' && news === 'Decision');
      if (isMore) this.#news.set(key, { news, since: now, lookAt: now });
    }
    this.#write();
  }

  /** Lets time pass until everything that falls due by then is written. */
  pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 100) {
      this.clock.advance(100);
      this.#write();
    }
  }

  #write(): void {
    const now = this.clock.monotonic();
    for (const [key, waiting] of this.#news) {
      if (waiting.lookAt > now) continue;
      const waitMs = this.#budget.waitMs(key, 'uid', waiting.news);
      waiting.lookAt = now + waitMs;
      if (waitMs > 0) continue;
      if (this.refused !== undefined) {
        this.refused += 1;
        waiting.lookAt = now + 5 * secondMs;
        continue;
      }
      this.#budget.written(key, 'uid');
      this.#news.delete(key);
      this.writes.push({ key, news: waiting.news, at: now - this.#began, ageMs: now - waiting.since });
    }
  }

  agesOf(news: News): number[] {
    return this.writes.filter((write) => write.news === news).map(({ ageMs }) => ageMs);
  }
  /** Most writes in any minute. */
  get mostInAMinute(): number {
    return Math.max(
      ...this.writes.map(({ at }, i) => this.writes.slice(i).filter((one) => one.at < at + 60_000).length),
    );
  }
}

describe('the budget of writes', () => {
  it('of 1,000 runtimes that change all the time is three a second with a decision in every second, and none waits for more than 510 s', () => {
    const fleet = new Fleet(1000);
    const seconds = 1000;
    for (let second = 0; second < seconds; second++) {
      fleet.happen('Observation');
      fleet.happen('Decision', fleet.keys.slice((7 * second) % 1000, ((7 * second) % 1000) + 1));
      fleet.pass(secondMs);
    }
    expect(fleet.mostInAMinute / 60).toBeLessThanOrEqual(3 + 100 / 60);
    expect(fleet.writes.length / seconds).toBeLessThanOrEqual(3.1);
    expect(new Set(fleet.writes.map(({ key }) => key)).size).toBe(1000);
    expect(Math.max(...fleet.agesOf('Observation'))).toBeLessThanOrEqual(510_000);
    // What is decided by waits for nothing but the second after the last write.
    expect(Math.max(...fleet.agesOf('Decision'))).toBeLessThanOrEqual(secondMs);
  });

  it('leaves 20 runtimes as prompt as they were alone: each is written every 10 s', () => {
    const fleet = new Fleet(20);
    for (let second = 0; second < 295; second++) {
      fleet.happen('Observation');
      fleet.pass(secondMs);
    }
    for (const key of fleet.keys) {
      const times = fleet.writes.filter((write) => write.key === key).map(({ at }) => at);
      expect(times).toHaveLength(30);
      expect(times[0]).toBe(0);
      times.slice(1).forEach((at, i) => expect(at - (times[i] ?? 0)).toBe(10_000));
    }
  });

  it('writes a hundred runtimes at once that change together after a rest', () => {
    const fleet = new Fleet(100);
    for (let change = 0; change < 3; change++) {
      fleet.happen('Observation');
      fleet.pass(50 * secondMs);
    }
    expect(fleet.agesOf('Observation')).toEqual(Array.from({ length: 300 }, () => 0));
  });

  it('writes and tries as many of a thousand that change, while writes are refused and when they are taken again', () => {
    const fleet = new Fleet(1000);
    fleet.refused = 0;
    fleet.happen('Observation');
    fleet.pass(300 * secondMs);
    expect(fleet.refused).toBeLessThanOrEqual(100 + 2 * 300);
    fleet.refused = undefined;
    fleet.pass(600 * secondMs);
    expect(fleet.writes).toHaveLength(1000);
    expect(fleet.mostInAMinute).toBeLessThanOrEqual(2 * 60 + 1);
  });

  it('tells of a whole fleet that went within 45 s, in the order in which it went, while observations go on', () => {
    const fleet = new Fleet(1000);
    fleet.happen('Observation', fleet.keys.slice(500));
    fleet.pass(30 * secondMs);
    fleet.happen('Decision');
    fleet.pass(60 * secondMs);
    const decisions = fleet.writes.filter(({ news }) => news === 'Decision');
    expect(decisions).toHaveLength(1000);
    expect(Math.max(...decisions.map(({ ageMs }) => ageMs))).toBeLessThanOrEqual(46 * secondMs);
    const first = decisions.map(({ key }) => key).filter((key) => fleet.keys.indexOf(key) < 500);
    expect(first).toEqual(fleet.keys.slice(0, 500));
  });

  it('forgets who has nothing to write any more, and knows an object that was made anew', () => {
    const clock = new FakeClock();
    const budget = new WriteBudget(clock, writeRates.AdapterRuntime);
    const key = runtimeKey('a');
    expect(budget.waitMs(key, 'one', 'Decision')).toBe(0);
    budget.written(key, 'one');
    expect(budget.waitMs(key, 'one', 'Decision')).toBe(1000);
    expect(budget.waitMs(key, 'one', 'Observation')).toBe(10_000);
    expect(budget.waitMs(key, 'two', 'Observation')).toBe(0);
    budget.settled(key);
    budget.forget(key);
    expect(budget.waitMs(key, 'one', 'Observation')).toBe(0);
  });
});
