import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SavedTokens } from '../session/kv-rows.ts';
import { blockTokens, commonLength, PrefixTree } from './prefix-tree.ts';

/** Saves the tokens themselves. */
class Saves {
  readonly open = new Set<SavedTokens & { readonly ids: readonly number[] }>();

  of(ids: readonly number[]): (from: number, tokens: number) => SavedTokens {
    return (from, tokens) => {
      const saved = {
        ids: ids.slice(from, from + tokens),
        tokens,
        bytes: tokens,
        release: () => void this.open.delete(saved),
      };
      this.open.add(saved);
      return saved;
    };
  }
}

const count = (tokens: number, from = 0): readonly number[] =>
  Array.from({ length: tokens }, (_, at) => from + at);

describe('a tree of beginnings', () => {
  it('holds what several begin with once, and the end of each', () => {
    const [tree, saves] = [new PrefixTree(), new Saves()];
    for (const tail of [1000, 2000]) {
      const ids = [...count(2 * blockTokens), ...count(10, tail)];
      tree.insert('a', ids, { owner: 'o', now: 1, save: saves.of(ids) });
      expect(tree.find('a', ids).tokens).toBe(ids.length);
    }
    expect([tree.blocks, tree.bytes]).toEqual([4, 2 * blockTokens + 20]);
    expect(tree.find('b', count(100)).tokens).toBe(0);
    tree.release();
    expect([tree.blocks, tree.bytes, saves.open.size]).toEqual([0, 0, 0]);
  });

  it('puts a longer end in the place of a shorter one', () => {
    const [tree, saves] = [new PrefixTree(), new Saves()];
    for (const tokens of [20, 50, 30, blockTokens, blockTokens + 3]) {
      tree.insert('a', count(tokens), { owner: 'o', now: 1, save: saves.of(count(tokens)) });
    }
    expect([tree.blocks, tree.bytes]).toEqual([2, blockTokens + 3]);
    expect(saves.open.size).toBe(2);
  });

  it('lets go of what was used longest ago, ends first', () => {
    const [tree, saves] = [new PrefixTree(), new Saves()];
    const [one, two] = [count(2 * blockTokens), [...count(blockTokens), ...count(blockTokens, 500)]];
    tree.insert('a', one, { owner: 'o', now: 1, save: saves.of(one) });
    tree.insert('a', two, { owner: 'o', now: 2, save: saves.of(two) });
    tree.touch('a', one, 3);
    const left: number[][] = [];
    while (tree.owners().has('o')) {
      tree.dropOldest('o');
      left.push([tree.find('a', one).tokens, tree.find('a', two).tokens]);
    }
    expect(left).toEqual([
      [2 * blockTokens, blockTokens],
      [blockTokens, blockTokens],
      [0, 0],
    ]);
  });

  it('what older texts are saved behind was still used when it was used last', () => {
    const [tree, saves] = [new PrefixTree(), new Saves()];
    const [shared, young] = [count(blockTokens), count(blockTokens, 500)];
    const old = [...shared, ...count(blockTokens, 1000)];
    tree.insert('a', shared, { owner: 'o', now: 9, save: saves.of(shared) });
    tree.insert('a', young, { owner: 'o', now: 5, save: saves.of(young) });
    tree.insert('a', old, { owner: 'o', now: 2, save: saves.of(old) });
    tree.dropOldest('o');
    tree.dropOldest('o');
    expect([shared, young].map((ids) => tree.find('a', ids).tokens)).toEqual([blockTokens, 0]);
  });

  it('what takes the place of a shorter one that was used later was used as late', () => {
    const [tree, saves] = [new PrefixTree(), new Saves()];
    const [shared, longer, young] = [count(20), count(30), count(blockTokens, 500)];
    tree.insert('a', shared, { owner: 'o', now: 9, save: saves.of(shared) });
    tree.insert('a', young, { owner: 'o', now: 5, save: saves.of(young) });
    tree.insert('a', longer, { owner: 'o', now: 2, save: saves.of(longer) });
    tree.dropOldest('o');
    expect([shared, young].map((ids) => tree.find('a', ids).tokens)).toEqual([shared.length, 0]);
  });

  it('finds the longest beginning that is there, of the right tokens, whatever was inserted and dropped', () => {
    // Few different tokens: many beginnings are the same.
    const ids = fc
      .array(fc.constantFrom(1, 2), { minLength: 1, maxLength: 5 })
      .map((runs) =>
        runs.flatMap((token, at) => Array.from({ length: 30 }, (_, i) => token * (i % (at + 2)))),
      );
    const change = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({ key: fc.constantFrom('a', 'b'), ids, room: fc.integer({ min: 0, max: 4 }) }),
      },
      { weight: 1, arbitrary: fc.constant('drop' as const) },
    );
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const [tree, saves] = [new PrefixTree(), new Saves()];
        const inserted: { readonly key: string; readonly ids: readonly number[] }[] = [];
        let dropped = false;
        for (const [now, one] of changes.entries()) {
          if (one === 'drop') {
            tree.dropOldest('o');
            dropped = true;
            continue;
          }
          const { key, ids: own } = one;
          let { room } = one;
          dropped ||= room < 3;
          const save = saves.of(own);
          tree.insert(key, own, {
            owner: 'o',
            now,
            save: (from, tokens) => (room-- > 0 ? save(from, tokens) : undefined),
          });
          inserted.push({ key, ids: own });
          const { tokens, parts } = tree.find(key, own);
          const there = parts.flatMap(({ saved, tokens: wanted }) =>
            [...saves.open].find((each) => each === saved)!.ids.slice(0, wanted),
          );
          expect(there).toEqual(own.slice(0, tokens));
          const most = inserted
            .filter((other) => other.key === key)
            .map((other) => commonLength(other.ids, own));
          expect(tokens).toBeLessThanOrEqual(Math.max(...most));
          if (!dropped) expect(tokens).toBe(own.length);
        }
        expect([...saves.open].reduce((sum, { bytes }) => sum + bytes, 0)).toBe(tree.bytes);
        expect(saves.open.size).toBe(tree.blocks);
        tree.release();
        expect(saves.open.size).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
