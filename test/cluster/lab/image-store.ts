import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '../../tools/cache.ts';
import { nodePackages } from './packages.ts';

const execute = promisify(execFile);

const keptStores = 4;
const unusedMs = 3_600_000;

/** The index of an archive names the digest of all that is in it: two files for 100 MiB that need not be read. */
const contentOf = async (archive: string): Promise<string> => {
  const script = 'tar -xOf "$1" ./index.json 2>/dev/null || tar -xOf "$1" index.json';
  const { stdout } = await execute('sh', ['-c', script, 'index', archive]).catch((error: unknown) => {
    throw new Error(`${archive} is no OCI archive: it has no index.json`, { cause: error });
  });
  return stdout;
};

/** Stores of images that nobody asked for in the last hour, but for the newest; and drafts that were left. */
const removeOld = async (): Promise<void> => {
  const parent = cacheFolder('lab');
  const names = await readdir(parent);
  const stats = await Promise.all(
    names.map(async (name) => ({ name, at: (await stat(join(parent, name))).mtimeMs })),
  );
  const stores = stats.filter(({ name }) => name.startsWith('images-')).sort((a, b) => b.at - a.at);
  const drafts = stats.filter(({ name }) => name.startsWith('draft-'));
  const old = [...stores.slice(keptStores), ...drafts].filter(({ at }) => Date.now() - at > unusedMs);
  for (const { name } of old) await rm(join(parent, name), { recursive: true, force: true });
};

/**
 * A folder of containerd that holds the images unpacked, in the user's cache: made once for each set of images. A node
 * begins with a copy of it ({@link copyStore}), and so imports nothing.
 * @throws what containerd said of an archive
 */
export const imageStore = async (archives: readonly string[]): Promise<string> => {
  const packages = await nodePackages();
  const hash = createHash('sha256').update(packages);
  for (const archive of archives) hash.update(await contentOf(archive));
  const store = join(cacheFolder('lab'), `images-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(store)) {
    await utimes(store, new Date(), new Date());
    return store;
  }
  await mkdir(cacheFolder('lab'), { recursive: true });
  await removeOld();
  const draft = await mkdtemp(`${store.replace('images-', 'draft-')}.`);
  try {
    const script = join(import.meta.dirname, 'import-images.sh');
    const namespaces = [
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      '--propagation',
      'private',
    ];
    const own = ['--pdeathsig', 'SIGKILL', '--', 'unshare', ...namespaces, '--'];
    await execute('setpriv', [...own, 'sh', script, draft, packages, ...archives]);
    await rename(draft, store).catch((error: unknown) => {
      // Another process was faster.
      if (!existsSync(store)) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return store;
};

/**
 * Gives a node the images: links to the files of the store, which containerd never changes, and copies of its databases.
 * Both folders are on one file system.
 */
export const copyStore = async (store: string, target: string): Promise<void> => {
  await execute('cp', ['-al', store, target]);
  const found = await readdir(target, { recursive: true });
  for (const name of found.filter((each) => each.endsWith('.db') && !each.includes('/snapshots/'))) {
    const draft = join(target, `${name}.copy`);
    await execute('cp', ['-a', join(store, name), draft]);
    await rename(draft, join(target, name));
  }
};
