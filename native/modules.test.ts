import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { digestOf, fileOf, modules, readMadeOf, sourcesDigest, tokenMasks } from './modules.ts';

it.each(modules)('$name.wasm in the repository was made of the sources beside it', async (one) => {
  const { sources, module } = await readMadeOf(one);
  expect(sources, `run \`make ${one.name}\``).toBe(await sourcesDigest(one));
  expect(module).toBe(digestOf(await readFile(fileOf(one))));
});

it('masks of tokens are made of a stated version of llguidance', async () => {
  expect((await readMadeOf(tokenMasks)).crates).toEqual({ llguidance: '1.9.1' });
});
