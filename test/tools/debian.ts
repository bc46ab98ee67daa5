import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, realpath, rename, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from './cache.ts';

const execute = promisify(execFile);

const inPath = (program: string): string | undefined =>
  (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path));

/**
 * A program of a Debian package, by default the one of the same name: in the PATH, else in the user's cache, else taken out of the package,
 * which is not installed: no service starts, and nobody needs to be root. Undefined where apt does not have it.
 */
export const debianProgram = async (name: string, from = name): Promise<string | undefined> => {
  const cached = join(cacheFolder('tools'), name);
  const known = inPath(name) ?? (existsSync(cached) ? cached : undefined);
  if (known !== undefined || inPath('apt-get') === undefined) return known;
  await mkdir(cacheFolder('tools'), { recursive: true });
  // Beside its place, so that it gets there whole by a rename.
  const folder = await mkdtemp(`${cached}.`);
  try {
    await execute('apt-get', ['download', '-qq', from], { cwd: folder });
    const [archive = ''] = await readdir(folder);
    await execute('dpkg-deb', ['-x', archive, 'content'], { cwd: folder });
    // It may be a link to the other folder.
    const places = ['usr/bin', 'usr/sbin'].map((place) => join(folder, 'content', place, name));
    await rename(await realpath(places.find((path) => existsSync(path)) ?? ''), cached);
    return cached;
  } catch (error) {
    process.stderr.write(`${name} could not be taken from apt (apt-get update?): ${String(error)}\n`);
    return undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
