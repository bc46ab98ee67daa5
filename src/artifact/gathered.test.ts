import { expect, it } from 'vitest';
import { gatherBlobs } from './gathered.ts';

it('what was gathered is given back also where the folder beside it cannot be removed', async () => {
  let held = 0;
  const pool = {
    hold: () => {
      held += 1;
      return { [Symbol.dispose]: () => void (held -= 1) };
    },
    reserve: async () => ({ [Symbol.dispose]: () => undefined }),
    release: async () => undefined,
  };
  // No file system has such a name.
  const paths = { tmp: '/tmp/\0', blob: () => '' };
  const gathered = await gatherBlobs(pool, paths, [], async () => undefined);
  expect(held).toBe(1);
  await expect(gathered[Symbol.asyncDispose]()).rejects.toThrow();
  expect(held).toBe(0);
});
