import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { glob, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { version as esbuildVersion } from 'esbuild';
import { cachedFolder, cacheFolder } from '../materials/cache.ts';
import { bundle } from './bundle.ts';
import { type BundledPackage, packagesOf } from './bundled-packages.ts';

const root = join(import.meta.dirname, '../..');

/** All that a bundle is made of; what npm installs is fixed by its lock. */
const sources = [
  'src/**/*.ts',
  'src/dashboard/page/*',
  'image/bundle/*.ts',
  'tsconfig.json',
  'package.json',
  'package-lock.json',
];

/** Of the sources as they are now. */
export const bundleKey = async (): Promise<string> => {
  const files: string[] = [];
  for await (const file of glob(sources, { cwd: root })) if (!file.endsWith('.test.ts')) files.push(file);
  const hash = createHash('sha256').update(esbuildVersion);
  for (const file of files.toSorted()) hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  return hash.digest('hex');
};

export type CachedBundle = { readonly folder: string; readonly packages: readonly BundledPackage[] };

/** {@link bundle}, made once for equal sources. */
export const cachedBundle = async (): Promise<CachedBundle> => {
  const folder = await cachedFolder(join(cacheFolder('bundles'), await bundleKey()), async (draft) => {
    const { inputs } = await bundle(join(draft, 'files'));
    await writeFile(join(draft, 'inputs.json'), JSON.stringify(inputs));
  });
  const inputs = JSON.parse(await readFile(join(folder, 'inputs.json'), 'utf8')) as string[];
  return { folder: join(folder, 'files'), packages: packagesOf(inputs) };
};
