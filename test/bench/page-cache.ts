import { execFile } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const exec = promisify(execFile);

/**
 * Writes a file's dirty pages and drops it from the page cache (posix_fadvise DONTNEED, through dd); says how many of
 * its pages are left there.
 */
export const dropFromPageCache = async (file: string): Promise<number> => {
  await exec('dd', [`of=${file}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0']);
  const { stdout } = await exec('fincore', ['--noheadings', '--raw', '--output', 'PAGES', file]);
  return Number(stdout.trim());
};

/** Drops a file, or all files of a folder; says how many of their pages are left. */
export const dropFolderFromPageCache = async (path: string): Promise<number> => {
  if (!(await stat(path)).isDirectory()) return dropFromPageCache(path);
  let left = 0;
  for (const name of await readdir(path)) left += await dropFromPageCache(join(path, name));
  return left;
};
