import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from './cache.ts';

const run = promisify(execFile);

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** The version of python3, or undefined when there is none. */
const pythonVersion = async (): Promise<string | undefined> => {
  try {
    const { stdout } = await run('python3', ['--version']);
    return stdout.trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
};

/**
 * Path of a Python that has the requirements, in a virtual environment of the user's cache; made once for each set.
 * Undefined when the machine has no python3. Throws with pip's words when the requirements cannot be installed.
 */
export const python = async (requirements: readonly string[]): Promise<string | undefined> => {
  const version = await pythonVersion();
  if (version === undefined) return undefined;
  const key = createHash('sha256')
    .update(JSON.stringify([version, ...requirements]))
    .digest('hex')
    .slice(0, 16);
  const folder = join(cacheFolder('python'), key);
  const executable = join(folder, 'bin', 'python');
  if (await exists(executable)) return executable;
  // Made beside its place and moved there whole: a test that is killed leaves nothing half done to be found.
  const draft = `${folder}.${process.pid}`;
  await mkdir(cacheFolder('python'), { recursive: true });
  try {
    await run('python3', ['-m', 'venv', draft]);
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...requirements];
    await run(join(draft, 'bin', 'python'), pip, { maxBuffer: 16 << 20 });
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another process was faster.
    if (!(await exists(executable))) throw error;
  }
  return executable;
};
