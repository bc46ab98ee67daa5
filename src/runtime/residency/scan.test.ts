import { expect, it } from 'vitest';
import type { Digest } from '../../api/names.ts';
import { adapter, key, never, settle, stateOf, type World, world } from './fake-ports.ts';

const users = ['u0', 'u1', 'u2', 'u3'];
const rounds = 120;

/**
 * In each round one of four users comes, and two adapters that nobody asks for again: between two uses of one are eight others. True
 * for each of the last half of the rounds in which `isHere` held before the use.
 */
const scanned = async (w: World, isHere: (name: string) => boolean): Promise<readonly boolean[]> => {
  w.residency.apply([]);
  const use = async (name: string): Promise<void> => {
    w.residency.ensure(adapter(name));
    (await w.residency.acquire(key(name), { signal: never() }))[Symbol.dispose]();
    await settle();
  };
  const hits: boolean[] = [];
  for (let round = 0; round < rounds; round++) {
    const user = users[round % users.length] ?? '';
    hits.push(isHere(user));
    await use(user);
    for (const which of ['x', 'y']) await use(`once-${round}-${which}`);
  }
  return hits.slice(rounds / 2);
};

it.each([
  ['hit-density', true],
  ['lru', false],
] as const)(
  '%s: adapters of single users that are asked for once do not empty RAM: %s',
  async (policy, stay) => {
    // Fewer are registered than come between two uses.
    const w = world({ budgetBytes: 60, maxDynamic: 7, evictionPolicy: policy });
    const hits = await scanned(w, (name) => stateOf(w, name) === 'Resident');
    expect(hits.every((hit) => hit === stay)).toBe(true);
  },
);

it.each([
  ['hit-density', true],
  ['lru', false],
] as const)('%s: nor do they empty the disk: %s', async (evictionPolicy, stay) => {
  const disk = new Map<Digest, number>();
  const w = world({
    budgetBytes: 30,
    maxDynamic: 3,
    grants: new Set(),
    evictionPolicy,
    disk,
    diskMarks: () => ({ usedBytes: 5 * disk.size, highBytes: 35, lowBytes: 30 }),
  });
  const hits = await scanned(w, (name) => disk.has(w.digest(name)));
  expect(hits.every((hit) => hit === stay)).toBe(true);
  expect(disk.size).toBeLessThanOrEqual(7);
});
