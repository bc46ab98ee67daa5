import { cp, mkdir, readFile, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type BuiltImages, buildImages } from '../../../image/build.ts';
import { cacheFolder } from '../../../image/materials/cache.ts';
import { root } from '../../../image/source.ts';
import { runProgram } from '../../support/program.ts';
import { folderOfTests } from '../../support/temporary-folder.ts';

type Manifest = { readonly layers: readonly { readonly digest: string }[] };

const layersOf = async (layout: string): Promise<readonly string[]> => {
  const blob = async (digest: string): Promise<string> =>
    readFile(join(layout, 'blobs', digest.replace(':', '/')), 'utf8');
  type Index = { readonly manifests: readonly { readonly digest: string }[] };
  const top = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8')) as Index;
  const index = JSON.parse(await blob(top.manifests[0]?.digest ?? '')) as Index;
  const manifest = JSON.parse(await blob(index.manifests[0]?.digest ?? '')) as Manifest;
  return manifest.layers.map(({ digest }) => digest);
};

describe('a build of the image', () => {
  const folder = folderOfTests();
  let first: BuiltImages;
  const build = (name: string): Promise<BuiltImages> =>
    buildImages({ archs: ['amd64'], folder: join(folder, name), say: () => undefined });
  beforeAll(async () => {
    first = await build('first');
  });

  it('gives the digest of the build before, with all that is attached', async () => {
    const second = await build('second');
    expect(second.digest).toBe(first.digest);
    const archives = [first, second].map(({ images }) => images.get('amd64')?.archive ?? '');
    const [one, other] = await Promise.all(archives.map((path) => readFile(path)));
    expect(one?.equals(other ?? Buffer.alloc(0))).toBe(true);
  });

  it('gives the same layers in another folder, with nothing kept of an earlier build but what was downloaded', async () => {
    const copy = join(folder, 'copy');
    await mkdir(copy);
    for (const name of [
      'src',
      'image',
      'native',
      'package.json',
      'package-lock.json',
      'tsconfig.json',
      'LICENSE',
    ])
      await cp(join(root, name), join(copy, name), { recursive: true });
    // As npm ci would make it.
    await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
    const cache = join(folder, 'cache');
    await mkdir(join(cache, 'adaptlet/materials'), { recursive: true });
    for (const kind of ['npm', 'debian', 'pypi'])
      await symlink(cacheFolder(kind), join(cache, 'adaptlet/materials', kind));
    const { code, stderr } = await runProgram(
      process.execPath,
      [join(copy, 'image/main.ts'), 'amd64', '--folder', join(copy, 'out')],
      { cwd: copy, env: { XDG_CACHE_HOME: cache } },
    );
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(await layersOf(join(copy, 'out/oci'))).toEqual(await layersOf(first.layout));
    // It compiles the native operator, too.
  }, 300_000);
});
