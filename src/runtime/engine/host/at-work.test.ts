import { describe, expect, it } from 'vitest';
import { Mutex } from '../mutex.ts';
import { AtWork } from './at-work.ts';

const start = () => {
  const said: (readonly number[])[] = [];
  return { said, atWork: new AtWork((calls) => said.push(calls)) };
};

describe('what the process works on', () => {
  it('is said before a step of other calls than the last one, and not while the same ones go on', () => {
    const { said, atWork } = start();
    for (const calls of [[1], [1], [1, 2], [1, 2], [2], []]) atWork.step(calls);
    expect(said).toEqual([[1], [1, 2], [2], []]);
  });

  it('has calls whose tokens are made beside a step, while they are made', () => {
    const { said, atWork } = start();
    atWork.step([1]);
    const work = atWork.begin(2);
    atWork.step([1]);
    expect(said).toEqual([[1], [1, 2]]);
    work[Symbol.dispose]();
    expect(said).toEqual([[1], [1, 2], [1]]);
  });

  it('has a call that is begun twice once, until both are done', () => {
    const { said, atWork } = start();
    const [first, second] = [atWork.begin(1), atWork.begin(1)];
    first[Symbol.dispose]();
    expect(said).toEqual([[1]]);
    second[Symbol.dispose]();
    expect(said).toEqual([[1], []]);
  });

  it('is said of the first work, also where that is for no call', () => {
    const { said, atWork } = start();
    atWork.step([]);
    expect(said).toEqual([[]]);
  });

  it('is no call between steps', async () => {
    const { said, atWork } = start();
    atWork.step([1]);
    const seen = await atWork.between(new Mutex()).run(() => said.at(-1));
    expect(seen).toEqual([]);
  });
});
