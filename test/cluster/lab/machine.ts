import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { cacheFolder } from '../../tools/cache.ts';

/** What `statfs` says of file systems. */
const magic = { cgroup2: 0x63677270, overlay: 0x794c7630 } as const;

/** A tree of control groups: where it is mounted, and with which options a node mounts it again. */
export type Hierarchy = { readonly folder: string; readonly options: string };

/** One tree for everything (v2), or one for each controller (v1). */
export type ControlGroups =
  | { readonly version: 2; readonly hierarchies: readonly [Hierarchy] }
  | { readonly version: 1; readonly hierarchies: readonly Hierarchy[] };

/** Those of cgroup v1 without which no pod runs. */
const neededControllers = ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'blkio', 'pids'];

/** From a line of mountinfo: `36 25 0:31 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct`. */
const v1Hierarchy = (line: string): Hierarchy | undefined => {
  const [before = '', after = ''] = line.split(' - ');
  const [type, , options = ''] = after.split(' ');
  const folder = before.split(' ')[4];
  if (type !== 'cgroup' || folder === undefined) return undefined;
  const own = options.split(',').filter((each) => each !== 'rw' && each !== 'ro' && each !== 'xattr');
  const named = own.find((each) => each.startsWith('name='));
  return {
    folder,
    options: named === undefined ? own.filter((each) => !each.includes('=')).join(',') : `none,${named}`,
  };
};

/** How this machine groups processes. */
export const controlGroups = (): ControlGroups => {
  const root = '/sys/fs/cgroup';
  if (existsSync(root) && statfsSync(root).type === magic.cgroup2) {
    return { version: 2, hierarchies: [{ folder: root, options: '' }] };
  }
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return { version: 1, hierarchies: lines.map(v1Hierarchy).filter((each) => each !== undefined) };
};

const programs = ['unshare', 'nsenter', 'setpriv', 'ip', 'openssl', 'tar', 'bash', 'apt-get', 'dpkg-deb'];

const isThere = (program: string): boolean =>
  (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));

const writable = (folder: string): boolean => {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
};

const groupObstacles = (): string[] => {
  const groups = controlGroups();
  const found = groups.hierarchies.flatMap(({ options }) => options.split(','));
  const lacking = groups.version === 1 ? neededControllers.filter((each) => !found.includes(each)) : [];
  const readOnly = groups.hierarchies.filter(({ folder }) => !writable(folder));
  return [
    ...(lacking.length === 0 ? [] : [`control groups are not mounted: ${lacking.join(', ')}`]),
    ...readOnly.map(({ folder }) => `${folder} cannot be written`),
  ];
};

/** A folder of the cache or the nearest one above it that is there: on which file system will the nodes be? */
const fileSystemOf = (folder: string): number =>
  existsSync(folder) ? statfsSync(folder).type : fileSystemOf(join(folder, '..'));

/** Why this machine can run no lab, a sentence each; nothing when it can. */
export const labObstacles = (): readonly string[] => {
  if (process.platform !== 'linux') return ['nodes are made of Linux namespaces'];
  if (process.getuid?.() !== 0) return ['only root can make nodes'];
  const missing = programs.filter((program) => !isThere(program));
  const folder = cacheFolder('lab');
  return [
    ...(missing.length === 0 ? [] : [`programs are not installed: ${missing.join(', ')}`]),
    ...groupObstacles(),
    ...(readFileSync('/proc/filesystems', 'utf8').includes('\toverlay\n')
      ? []
      : ['the kernel has no overlayfs']),
    ...(fileSystemOf(folder) === magic.overlay
      ? [
          `${folder} is on overlayfs, on which no container can lie: set XDG_CACHE_HOME to another file system`,
        ]
      : []),
  ];
};
