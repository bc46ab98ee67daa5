import { execFile } from 'node:child_process';
import { access, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from './cache.ts';

const run = promisify(execFile);

/** Packages of PyPI by name and version, each with the SHA-256 of its wheel for Linux x64 (Python 3.11 where it has one for each). */
export type Wheels = Readonly<Record<string, string>>;

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const hasPython = (): Promise<boolean> =>
  run('python3', ['--version']).then(
    () => true,
    () => false,
  );

const download = async (wheels: Wheels, folder: string): Promise<void> => {
  const wanted = join(folder, 'requirements.txt');
  const lines = Object.entries(wheels).map(([name, sha256]) => `${name} --hash=sha256:${sha256}\n`);
  await writeFile(wanted, lines.join(''));
  const wheel = ['--no-deps', '--only-binary=:all:', '--python-version=3.11', '--abi=cp311', '--abi=none'];
  const platforms = ['2_28', '2_27', '2_17', '2_12'].map((libc) => `--platform=manylinux_${libc}_x86_64`);
  const place = [...platforms, '--require-hashes', '--dest', folder, '-r', wanted];
  const pip = ['-m', 'pip', 'download', '--quiet', '--disable-pip-version-check'];
  await run('python3', [...pip, ...wheel, ...place], { maxBuffer: 16 << 20 });
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.whl')) continue;
    await run('python3', ['-m', 'zipfile', '-e', join(folder, name), folder]);
    await rm(join(folder, name));
  }
};

/**
 * Folder with the files of wheels of PyPI, which are downloaded once into the user's cache. Undefined where they do not fit (not
 * Linux x64), or where no python3 is to fetch them; the latter is an error in CI.
 * @throws what pip says when they cannot be downloaded
 */
export const filesOfWheels = async (name: string, wheels: Wheels): Promise<string | undefined> => {
  if (platform() !== 'linux' || arch() !== 'x64') return undefined;
  const folder = join(cacheFolder('wheels'), name);
  if (await exists(folder)) return folder;
  if (!(await hasPython())) {
    if (process.env['CI'] === 'true') throw new Error(`python3 is missing, which brings ${name}`);
    return undefined;
  }
  // Made beside its place and moved there whole: a test that is killed leaves nothing half done to be found.
  const draft = `${folder}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  try {
    await download(wheels, draft);
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another process was faster.
    if (!(await exists(folder))) throw error;
  }
  return folder;
};
