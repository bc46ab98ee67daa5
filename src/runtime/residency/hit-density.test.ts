import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../engine/random.ts';
import { usesSchema } from '../state/uses.ts';
import { createEvictionPolicy, evictionPolicyNames } from './eviction-policies.ts';
import type { EvictionPolicy } from './eviction-policy.ts';
import { hitDensity } from './hit-density.ts';

const worth = (policy: EvictionPolicy, key: string, bytes = 10, reloadMs = 10): number =>
  policy.worth({ key, bytes, reloadMs });

const play = (policy: EvictionPolicy, keys: readonly string[]): void => {
  for (const key of keys) policy.used(key);
};
const times = (count: number, key: (i: number) => string): string[] =>
  Array.from({ length: count }, (_, i) => key(i));

it('what is used more often is worth more, and of those used once the last', () => {
  const policy = hitDensity();
  play(policy, ['often', 'often', 'old', 'new']);
  expect(worth(policy, 'often')).toBeGreaterThan(worth(policy, 'new'));
  expect(worth(policy, 'new')).toBeGreaterThan(worth(policy, 'old'));
});

it('what was never used is worth nothing', () => {
  const policy = hitDensity();
  policy.used('a');
  expect([worth(policy, 'never'), worth(policy, 'a') > 0]).toEqual([0, true]);
});

it('a place is worth more the longer a reload takes and the fewer bytes it has', () => {
  const policy = hitDensity();
  policy.used('a');
  expect(worth(policy, 'a', 10, 30)).toBeCloseTo(3 * worth(policy, 'a', 10, 10));
  expect(worth(policy, 'a', 30, 10)).toBeCloseTo(worth(policy, 'a', 10, 10) / 3);
});

it('what is used often outlives any number of adapters that are used once', () => {
  const policy = hitDensity();
  play(
    policy,
    times(3_000, (i) => `popular-${i % 20}`),
  );
  play(
    policy,
    times(1_000, (i) => `scanned-${i}`),
  );
  const scanned = Math.max(...times(1_000, (i) => `scanned-${i}`).map((key) => worth(policy, key)));
  for (const key of times(20, (i) => `popular-${i}`)) expect(worth(policy, key)).toBeGreaterThan(scanned);
});

it('what is used at regular times keeps its place right after a use as well, which is when it is never used', () => {
  const policy = hitDensity();
  const least: number[] = [];
  for (let round = 0; round < 2_000; round += 1) {
    play(policy, [`regular-${round % 6}`, `once-${round}-x`, `once-${round}-y`]);
    const regular = times(6, (i) => `regular-${i}`).map((key) => worth(policy, key));
    least.push(Math.min(...regular) / worth(policy, `once-${round}-y`));
  }
  expect(Math.min(...least.slice(200))).toBeGreaterThan(1);
});

it('when popularity moves, the once popular lose their places to the newly popular, long before their counts do', () => {
  const policy = hitDensity({ halfLife: () => 100_000 });
  play(
    policy,
    times(10_000, (i) => `past-${i % 20}`),
  );
  play(
    policy,
    times(2_000, (i) => `present-${i % 20}`),
  );
  expect(worth(policy, 'present-0')).toBeGreaterThan(worth(policy, 'past-0'));
});

it('counts age: what was used far more often, long ago, is worth less than what is used now', () => {
  const policy = hitDensity({ halfLife: () => 10 });
  play(
    policy,
    times(100, () => 'past'),
  );
  play(
    policy,
    times(100, (i) => (i % 2 === 0 ? 'present' : `other-${i}`)),
  );
  expect(worth(policy, 'present')).toBeGreaterThan(worth(policy, 'past'));
});

it('what was used often so long ago that it does not count is worth as much as a newcomer', () => {
  const policy = hitDensity({ halfLife: () => 10 });
  play(policy, [...times(100, () => 'past'), ...times(500, (i) => `other-${i}`), 'past', 'newcomer']);
  expect(worth(policy, 'past')).toBeLessThan(1.1 * worth(policy, 'newcomer'));
});

it('where more adapters have room, counts reach further back', () => {
  const keeps = (adapters: number): number => {
    const policy = hitDensity();
    policy.divided(adapters);
    play(policy, [...times(50, () => 'past'), ...times(2_000, (i) => `other-${i % 50}`)]);
    return worth(policy, 'past') / worth(policy, 'other-0');
  };
  expect(keeps(1_000)).toBeGreaterThan(2 * keeps(20));
});

describe('where adapters are used in bursts', () => {
  /** Each adapter 10 times in a row and then not before 200 others; two keep on being used all the time. */
  const bursts = (from: number, count: number): string[] =>
    times(count * 12, (i) =>
      i % 12 > 9 ? `steady-${i % 12}` : `burst-${(from + Math.floor(i / 12)) % 200}`,
    );

  it('an adapter in the middle of its burst is worth more than one whose burst is over', () => {
    const policy = hitDensity();
    play(policy, bursts(0, 400));
    play(
      policy,
      times(3, () => 'fresh'),
    );
    const over = bursts(380, 10).filter((key) => key.startsWith('burst'));
    for (const key of over) expect(worth(policy, 'fresh'), key).toBeGreaterThan(worth(policy, key));
  });
});

const uses = fc.array(fc.nat(30), { maxLength: 400 });

it.each(evictionPolicyNames)('%s: the same uses give the same worth', (name) => {
  fc.assert(
    fc.property(uses, (keys) => {
      const [one, other] = [createEvictionPolicy(name), createEvictionPolicy(name)];
      for (const policy of [one, other]) play(policy, keys.map(String));
      for (const key of keys) expect(worth(one, `${key}`)).toBe(worth(other, `${key}`));
    }),
  );
});

it.each(evictionPolicyNames)(
  '%s: to ask for the worth changes nothing, and it is a number that is not negative',
  (name) => {
    fc.assert(
      fc.property(uses, (keys) => {
        const [asked, quiet] = [createEvictionPolicy(name), createEvictionPolicy(name)];
        for (const key of keys) {
          asked.used(`${key}`);
          quiet.used(`${key}`);
          expect(worth(asked, `${(key * 7) % 31}`)).toBeGreaterThanOrEqual(0);
        }
        for (const key of keys) expect(worth(asked, `${key}`)).toBe(worth(quiet, `${key}`));
      }),
    );
  },
);

it('histories are bounded: of more adapters the least recently used are forgotten', () => {
  const policy = hitDensity({ maxKept: 100 });
  const random = seededRandom(1);
  for (let i = 0; i < 20_000; i += 1) {
    policy.used(`adapter-${Math.floor(random() * 5_000)}`);
    expect(policy.kept).toBeLessThanOrEqual(100);
  }
  play(
    policy,
    times(100, (i) => `last-${i}`),
  );
  expect([worth(policy, 'last-0') > 0, worth(policy, 'adapter-0')]).toEqual([true, 0]);
});

it('after more uses than 32 bits count its memory is still one that the next process takes', () => {
  const now = 2 ** 32 + 10;
  const memory = { now, fade: 0, fadePerUse: 1, came: [], foretold: [] };
  const policy = hitDensity({
    before: { keys: ['a'], memory: { ...memory, histories: [[1, 0.5, 0, 0, 2 ** 32 - 1]] } },
  });
  policy.used('a');
  const names = ['a'];
  const after = policy.memoryOf(names);
  expect(Math.min(...(after?.foretold ?? [-1]))).toBe(0);
  expect(usesSchema.safeParse(JSON.parse(JSON.stringify({ names, policy: after }))).success).toBe(true);
});
