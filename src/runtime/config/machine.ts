import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path';

/** What this process may use of its machine. */
export type Machine = {
  readonly cores: {
    /** Physical cores that the scheduler may give to this process. */
    readonly physical: number;
    /** Cores' worth of time by the limits of its control groups; undefined without a limit. */
    readonly quota?: number;
  };
  readonly memory: {
    readonly bytes: number;
    /** `limit`: of the control groups, for these processes alone; `available`: what the machine has left, for everybody. */
    readonly kind: 'limit' | 'available';
  };
};

/** Content of a file; undefined where there is none. */
export type ReadText = (path: string) => string | undefined;

const readText: ReadText = (path) => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not this system, or not this version of control groups.
    return undefined;
  }
};

const numberIn = (text: string | undefined): number | undefined =>
  text !== undefined && /^-?\d+\s*$/.test(text) ? Number(text) : undefined;

/** Folders of a group and of those that it is in. Within a container, the file system begins at its own group. */
const groupsOf = (root: string, path: string): readonly string[] => {
  const groups: string[] = [root];
  for (let at = path; at !== '/' && at !== '.'; at = dirname(at)) groups.push(join(root, at));
  return groups;
};

/** Groups that limit a controller: of version 2, and of version 1. */
const groupsFor = (controller: string, read: ReadText): { v1: readonly string[]; v2: readonly string[] } => {
  const text = read('/proc/self/cgroup') ?? '';
  const v2 = /^0::(.*)$/m.exec(text)?.[1];
  const v1 = new RegExp(`^\\d+:(?:[^:]*,)?${controller}(?:,[^:]*)?:(.*)$`, 'm').exec(text)?.[1];
  return {
    v2: v2 === undefined ? [] : groupsOf('/sys/fs/cgroup', v2),
    v1: v1 === undefined ? [] : groupsOf(`/sys/fs/cgroup/${controller}`, v1),
  };
};

const smallest = (numbers: readonly (number | undefined)[]): number | undefined => {
  const known = numbers.filter((one) => one !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
};

const quotaOf = (read: ReadText): number | undefined => {
  const { v1, v2 } = groupsFor('cpu', read);
  return smallest([
    ...v2.map((group) => {
      const [, quota, period] = /^(\d+) (\d+)/.exec(read(join(group, 'cpu.max')) ?? '') ?? [];
      return quota === undefined ? undefined : Number(quota) / Number(period);
    }),
    ...v1.map((group) => {
      const quota = numberIn(read(join(group, 'cpu.cfs_quota_us')));
      const period = numberIn(read(join(group, 'cpu.cfs_period_us')));
      return quota === undefined || quota <= 0 || period === undefined ? undefined : quota / period;
    }),
  ]);
};

const memoryLimitOf = (read: ReadText): number | undefined => {
  const { v1, v2 } = groupsFor('memory', read);
  return smallest([
    ...v2.map((group) => numberIn(read(join(group, 'memory.max')))),
    ...v1.map((group) => numberIn(read(join(group, 'memory.limit_in_bytes')))),
  ]);
};

/** Processors of a list as the kernel writes it: `0-3,6`. */
const processorsIn = (list: string): readonly number[] =>
  list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, place) => first + place);
  });

/** Two processors that share a core compute no more than one of them. */
const physicalCores = (read: ReadText): number | undefined => {
  const allowed = /^Cpus_allowed_list:\s*(\S+)$/m.exec(read('/proc/self/status') ?? '')?.[1];
  if (allowed === undefined) return undefined;
  const cores = processorsIn(allowed).map((processor) => {
    const topology = `/sys/devices/system/cpu/cpu${processor}/topology`;
    const core = numberIn(read(`${topology}/core_id`));
    const socket = numberIn(read(`${topology}/physical_package_id`));
    return core === undefined ? `processor ${processor}` : `${socket} ${core}`;
  });
  return new Set(cores).size;
};

/** What the machine has, by the kernel; on systems other than Linux by Node. */
export const readMachine = (read: ReadText = readText): Machine => {
  const quota = quotaOf(read);
  const limit = memoryLimitOf(read);
  const free = /^MemAvailable:\s+(\d+) kB$/m.exec(read('/proc/meminfo') ?? '')?.[1];
  const available = free === undefined ? totalmem() / 2 : Number(free) * 1024;
  return {
    cores: {
      physical: physicalCores(read) ?? availableParallelism(),
      ...(quota === undefined ? {} : { quota }),
    },
    // Without a limit, version 1 has a number that no machine reaches.
    memory:
      limit !== undefined && limit < available
        ? { bytes: limit, kind: 'limit' }
        : { bytes: available, kind: 'available' },
  };
};
