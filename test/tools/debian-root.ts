import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from './cache.ts';

const execute = promisify(execFile);

/** `/bin` and the like are links on a Debian of today; packages of Debian 12 still have files there. */
const mergedFolders = ['bin', 'sbin', 'lib'];

const unpack = async (archive: string, root: string): Promise<void> => {
  const script = 'dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C "$2"';
  await execute('bash', ['-o', 'pipefail', '-c', script, 'unpack', archive, root]);
};

/**
 * The content of Debian packages as one folder of the user's cache, made once for each set of names and release. Nothing
 * is installed: no service starts and the packages' scripts do not run, so links of `update-alternatives` are not there.
 * @throws apt does not have the packages
 */
export const debianRoot = async (packages: readonly string[]): Promise<string> => {
  const release = await readFile('/etc/os-release', 'utf8');
  const key = createHash('sha256')
    .update(JSON.stringify([release, process.arch, ...packages]))
    .digest('hex')
    .slice(0, 16);
  const root = join(cacheFolder('tools'), `debian-${key}`);
  if (existsSync(root)) return root;
  await mkdir(cacheFolder('tools'), { recursive: true });
  // Beside its place, so that it gets there whole by a rename.
  const draft = await mkdtemp(`${root}.`);
  try {
    const [downloads, content] = [join(draft, 'downloads'), join(draft, 'content')];
    await mkdir(downloads);
    await execute('apt-get', ['download', '-qq', ...packages], { cwd: downloads }).catch((error: unknown) => {
      throw new Error(`apt-get download ${packages.join(' ')} failed (apt-get update?)`, { cause: error });
    });
    for (const folder of mergedFolders) {
      await mkdir(join(content, 'usr', folder), { recursive: true });
      await symlink(join('usr', folder), join(content, folder));
    }
    for (const archive of await readdir(downloads)) await unpack(join(downloads, archive), content);
    await rename(content, root).catch((error: unknown) => {
      // Another process was faster.
      if (!existsSync(root)) throw error;
    });
    return root;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
};
