import { describe, expect, it } from 'vitest';
import { Mutex } from './mutex.ts';

describe('exclusive work', () => {
  it('runs one at a time, in order, also after a failure', async () => {
    const exclusive = new Mutex();
    const log: string[] = [];
    const work =
      (name: string, fail = false) =>
      async (): Promise<void> => {
        log.push(`${name} begins`);
        await new Promise(setImmediate);
        log.push(`${name} ends`);
        if (fail) throw new Error(name);
      };
    const results = [
      exclusive.run(work('a', true)),
      exclusive.run(work('b')),
      exclusive.run(() => log.push('c')),
    ];
    expect((await Promise.allSettled(results)).map(({ status }) => status)).toEqual([
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
    expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c']);
  });
});
