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

/** Where control groups of one kind are seen, and which of them lies there: within a container, its own. */
type Mount = { readonly at: string; readonly root: string };

const usualPlace = '/sys/fs/cgroup';

/** Spaces and the like are written as octal numbers. */
const decoded = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/**
 * The mount of a hierarchy, by lines as `32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu`; where nothing is told of mounts, the
 * place that it has on most systems.
 */
const mountOf = (mounts: string, hierarchy: 'v2' | 'cpu' | 'memory'): Mount => {
  for (const line of mounts.split('\n')) {
    const [place = '', filesystem = ''] = line.split(' - ');
    const [type, , options = ''] = filesystem.split(' ');
    const isIt =
      hierarchy === 'v2' ? type === 'cgroup2' : type === 'cgroup' && options.split(',').includes(hierarchy);
    const [, , , root, at] = place.split(' ');
    if (isIt && root !== undefined && at !== undefined) return { at: decoded(at), root: decoded(root) };
  }
  return { at: hierarchy === 'v2' ? usualPlace : join(usualPlace, hierarchy), root: '/' };
};

/** Folders of a group and of those that it is in, its own first. What lies outside of the mount is not seen. */
const foldersOf = ({ at, root }: Mount, path: string): readonly string[] => {
  const within = path.startsWith(root === '/' ? '/' : `${root}/`)
    ? path.slice(root === '/' ? 0 : root.length)
    : '/';
  const folders: string[] = [];
  for (let group = within; group !== '/' && group !== '.'; group = dirname(group))
    folders.push(join(at, group));
  return [...folders, at];
};

/** Folders of the groups of this process that limit a controller, its own first: of version 2, and of version 1. */
export const groupsFor = (
  controller: 'cpu' | 'memory',
  read: ReadText,
): { readonly v1: readonly string[]; readonly v2: readonly string[] } => {
  const text = read('/proc/self/cgroup') ?? '';
  const mounts = read('/proc/self/mountinfo') ?? '';
  const v2 = /^0::(.*)$/m.exec(text)?.[1];
  const v1 = new RegExp(`^\\d+:(?:[^:]*,)?${controller}(?:,[^:]*)?:(.*)$`, 'm').exec(text)?.[1];
  return {
    v2: v2 === undefined ? [] : foldersOf(mountOf(mounts, 'v2'), v2),
    v1: v1 === undefined ? [] : foldersOf(mountOf(mounts, controller), v1),
  };
};

/** Bytes that the kernel could give to processes without swapping; undefined on other systems than Linux. */
export const freeBytes = (read: ReadText): number | undefined => {
  const free = /^MemAvailable:\s+(\d+) kB$/m.exec(read('/proc/meminfo') ?? '')?.[1];
  return free === undefined ? undefined : Number(free) * 1024;
};
