import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** Where what images and the plug-in are made of is kept between builds. */
export const cacheFolder = (kind: string): string =>
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'adaptlet/materials', kind);

export const sha256 = (bytes: Uint8Array | string): string =>
  createHash('sha256').update(bytes).digest('hex');

/**
 * A folder of the cache, filled on first use. It gets to its place whole by a rename: a build that is killed leaves nothing
 * half done to be found, and two builds at once do no harm.
 */
export const cachedFolder = async (
  folder: string,
  fill: (draft: string) => Promise<void>,
): Promise<string> => {
  if (existsSync(folder)) return folder;
  await mkdir(dirname(folder), { recursive: true });
  const draft = await mkdtemp(`${folder}.`);
  try {
    await fill(draft);
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another build was faster.
    if (!existsSync(folder)) throw error;
  }
  return folder;
};
