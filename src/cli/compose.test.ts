import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { folderOfTest } from '../../test/support/temporary-folder.ts';
import { startDiskThread } from '../artifact/disk-thread.ts';
import { defaultLimits } from '../artifact/manifest.ts';
import { packFolder } from '../artifact/pack.ts';
import { tinyFolder } from '../runtime/adapter/peft-folder.fixture.ts';
import { composeCommand, parentOf } from './compose.ts';

describe('an adapter of a composition', () => {
  it.each([
    ['a:0.7', 'a', 0.7],
    ['/x/a:b:-2', '/x/a:b', -2],
    ['a:+.5', 'a', 0.5],
    ['a:1e-1', 'a', 0.1],
    ['a', 'a', 1],
    ['a:b', 'a:b', 1],
    ['a:0.7x', 'a:0.7x', 1],
    [':1', ':1', 1],
  ])('is %s: %s counts %d', (text, folder, weight) => {
    expect(parentOf(text)).toEqual({ folder, weight });
  });
});

describe('adaptlet compose', () => {
  const adapters = join(tinyFolder, '../../adapters');
  let root: string;
  let said: string;
  beforeEach(() => {
    root = folderOfTest();
    said = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      said += String(text);
      return true;
    });
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  const compose = (...args: readonly string[]): Promise<unknown> =>
    composeCommand()
      .exitOverride()
      .configureOutput({ writeErr: () => undefined })
      .parseAsync(args, { from: 'user' });

  const digestOf = async (folder: string): Promise<string> => {
    await using disk = startDiskThread();
    const { signal } = new AbortController();
    return (await packFolder(folder, { disk, limits: defaultLimits, signal })).digest;
  };

  it('writes a folder that names its parents by their digests, and says its own', async () => {
    const [plain, rslora] = [join(adapters, 'plain'), join(adapters, 'rslora')];
    const out = join(root, 'out');
    await compose(`${plain}:0.7`, `${rslora}:-0.3`, '-o', out, '--method', 'svd', '--rank', '3');
    const parents = [
      { digest: await digestOf(plain), weight: 0.7 },
      { digest: await digestOf(rslora), weight: -0.3 },
    ];
    expect(JSON.parse(await readFile(join(out, 'adaptlet_parents.json'), 'utf8'))).toEqual({
      method: 'svd',
      parents,
    });
    expect(said).toBe(
      [
        `${out}: 2 adapters by svd, 4 modules of rank 3 at most, 0.01 MB`,
        ...parents.map(({ digest, weight }) => `  ${weight} of ${digest}`),
        `digest: ${await digestOf(out)}`,
        '',
      ].join('\n'),
    );
  });

  it('subtracts what an adapter was before its training', async () => {
    const trained = join(adapters, 'olora-trained');
    const initial = join(trained, 'initial');
    await compose(trained, '--initial', initial, '-o', join(root, 'out'));
    expect(said).toContain(`  1 of ${await digestOf(trained)}\n  -1 of ${await digestOf(initial)}\n`);
  });

  it('has a rank for svd only, and one that is a number', async () => {
    const out = join(root, 'out');
    await expect(compose(join(adapters, 'plain'), '-o', out, '--rank', '3')).rejects.toThrow('--method svd');
    await expect(
      compose(join(adapters, 'plain'), '-o', out, '--method', 'svd', '--rank', '0'),
    ).rejects.toThrow('a whole number above 0');
  });
});
