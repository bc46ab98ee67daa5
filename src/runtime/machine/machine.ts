import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { freeBytes, groupsFor, numberIn, type ReadText, readText } from './control-groups.ts';

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
    ...v2.flatMap((group) =>
      ['memory.max', 'memory.high'].map((limit) => numberIn(read(join(group, limit)))),
    ),
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
  const available = freeBytes(read) ?? totalmem() / 2;
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
