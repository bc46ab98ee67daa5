import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { comparedTokens, TokenHistory } from './token-history.ts';

const historyOf = (...parts: readonly (readonly number[])[]): TokenHistory => {
  const history = new TokenHistory();
  for (const [index, ids] of parts.entries()) {
    if (index > 0) history.pause();
    for (const id of ids) history.push(id);
  }
  return history;
};

describe('what came after what', () => {
  it('is what followed the longest end that both have in common', () => {
    const history = historyOf([1, 2, 3, 4, 9, 3, 5]);
    expect(history.after([1, 2, 3])).toEqual({ token: 4, length: 3, places: 1, votes: 1 });
    expect(history.after([9, 3])).toMatchObject({ token: 5, length: 2 });
    expect(history.after([8, 8, 3])).toMatchObject({ token: 5, length: 1, places: 2, votes: 1 });
  });

  it('is what followed most often, and of equals what came last', () => {
    const history = historyOf([1, 2], [1, 3], [1, 2], [1, 4]);
    expect(history.after([1])).toEqual({ token: 2, length: 1, places: 4, votes: 2 });
    expect(historyOf([1, 2], [1, 3]).after([1])).toMatchObject({ token: 3, votes: 1 });
  });

  it('is nothing for what is not there, for the last token, and across a gap', () => {
    expect(historyOf([1, 2]).after([7])).toBeUndefined();
    expect(historyOf([1, 2]).after([])).toBeUndefined();
    expect(historyOf([1, 2]).after([2])).toBeUndefined();
    expect(historyOf([1, 2], [3]).after([2])).toBeUndefined();
    expect(historyOf([7, 1], [2, 1, 5]).after([7, 1])).toMatchObject({ token: 5, length: 1 });
  });

  it('is found in time that does not grow with the history', () => {
    const history = historyOf(Array.from({ length: 5000 }, (_, at) => at % 2));
    expect(history.after([0])).toMatchObject({ token: 1, places: 64 });
  });

  it('is still there of the last parts when it is shortened, and not of those before', () => {
    const history = historyOf([1, 2, 3], [4, 5, 6], [7, 8, 9]).shortened(8);
    expect(history.length).toBe(7);
    expect(history.after([1])).toBeUndefined();
    expect(history.after([4])).toMatchObject({ token: 5 });
    expect(history.after([6])).toBeUndefined();
    expect(history.after([8])).toMatchObject({ token: 9 });
  });

  it('is what a search through all of it says', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(3), { maxLength: 50 }),
        fc.array(fc.nat(3), { minLength: 1, maxLength: comparedTokens }),
        (ids, tail) => {
          const found = ids.slice(0, -1).map((_, place) => {
            let length = 0;
            while (length < tail.length && length <= place && ids[place - length] === tail.at(-1 - length)) {
              length += 1;
            }
            return { length, next: ids[place + 1]! };
          });
          const longest = Math.max(0, ...found.map(({ length }) => length));
          const nexts = found.filter(({ length }) => length === longest).map(({ next }) => next);
          const guess = historyOf(ids).after(tail);
          if (longest === 0) {
            expect(guess).toBeUndefined();
            return;
          }
          const votesFor = (id: number): number => nexts.filter((next) => next === id).length;
          expect(guess).toMatchObject({ length: longest, places: nexts.length });
          expect(guess!.votes).toBe(Math.max(...nexts.map(votesFor)));
          expect(votesFor(guess!.token)).toBe(guess!.votes);
        },
      ),
    );
  });
});
