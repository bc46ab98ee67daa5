import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { codeOf } from '../../errors/code-of.fixture.ts';
import { checkPeftFolder } from './check-folder.ts';
import { brokenVariants, tinyFolder } from './peft-folder.fixture.ts';

const check = (folder: string) => checkPeftFolder(join(tinyFolder, folder), 256);

describe('a folder without its base model', () => {
  it('is taken when a node could serve it', async () => {
    for (const name of ['upper', 'hello', 'reverse']) await check(`adapters/${name}`);
  });

  /** What only the base model shows: its modules and their shapes. It is for the node. */
  const hidden = ['broken-wrong-base', 'broken-shape', 'broken-unknown-key'];
  const shown = Object.entries(brokenVariants).filter(([name]) => !hidden.includes(name));
  it.each(shown)('%s is refused with %s', async (name, code) => {
    expect(await codeOf(() => check(`variants/${name}`))).toBe(code);
  });

  it.each(hidden)('%s is taken', async (name) => {
    await expect(check(`variants/${name}`)).resolves.toBeUndefined();
  });

  it('is refused when its rank is higher than a node takes', async () => {
    expect(await codeOf(() => checkPeftFolder(join(tinyFolder, 'adapters/upper'), 2))).toBe(
      'ADAPTER_RANK_LIMIT',
    );
  });
});
