import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Content of a file; undefined where there is none. */
export type ReadText = (path: string) => string | undefined;

export const readText: ReadText = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not this system, or not this version of control groups.
    return undefined;
  }
};

export const numberIn = (text: string | undefined): number | undefined =>
  text !== undefined && /^-?\d+\s*$/.test(text) ? Number(text) : undefined;

/** Folders of a group and of those that it is in. Within a container, the file system begins at its own group. */
const foldersOf = (root: string, path: string): readonly string[] => {
  const folders: string[] = [root];
  for (let at = path; at !== '/' && at !== '.'; at = dirname(at)) folders.push(join(root, at));
  return folders;
};

/** Folders of the groups of this process that limit a controller: of version 2, and of version 1. */
export const groupsFor = (
  controller: 'cpu' | 'memory',
  read: ReadText,
): { readonly v1: readonly string[]; readonly v2: readonly string[] } => {
  const text = read('/proc/self/cgroup') ?? '';
  const v2 = /^0::(.*)$/m.exec(text)?.[1];
  const v1 = new RegExp(`^\\d+:(?:[^:]*,)?${controller}(?:,[^:]*)?:(.*)$`, 'm').exec(text)?.[1];
  return {
    v2: v2 === undefined ? [] : foldersOf('/sys/fs/cgroup', v2),
    v1: v1 === undefined ? [] : foldersOf(`/sys/fs/cgroup/${controller}`, v1),
  };
};

/** Bytes that the kernel could give to processes without swapping; undefined on other systems than Linux. */
export const freeBytes = (read: ReadText): number | undefined => {
  const free = /^MemAvailable:\s+(\d+) kB$/m.exec(read('/proc/meminfo') ?? '')?.[1];
  return free === undefined ? undefined : Number(free) * 1024;
};
