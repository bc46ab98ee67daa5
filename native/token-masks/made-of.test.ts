import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { digestOf, moduleFile, readMadeOf, sourcesDigest } from './made-of.ts';

it('the module in the repository was made of the sources beside it, by a stated version of llguidance', async () => {
  const { llguidance, sources, module } = await readMadeOf();
  expect(sources, 'run `make token-masks`').toBe(await sourcesDigest());
  expect(module).toBe(digestOf(await readFile(moduleFile)));
  expect(llguidance).toBe('1.9.1');
});
