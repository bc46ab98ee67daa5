import { describe, expect, it } from 'vitest';
import { readMachine } from './machine.ts';

const gib = 2 ** 30;

/** A machine of four processors and 8 GiB, of which 6 are free, with the given files besides. */
const machine = (files: Readonly<Record<string, string>> = {}) => {
  const all: Readonly<Record<string, string>> = {
    '/proc/self/status': 'Name:\tnode\nCpus_allowed_list:\t0-3\n',
    '/proc/meminfo': 'MemTotal:        8388608 kB\nMemAvailable:    6291456 kB\n',
    ...files,
  };
  return readMachine((path) => all[path]);
};

const topology = (cores: readonly number[]) =>
  Object.fromEntries(
    cores.flatMap((core, processor) => {
      const folder = `/sys/devices/system/cpu/cpu${processor}/topology`;
      return [
        [`${folder}/core_id`, `${core}\n`],
        [`${folder}/physical_package_id`, '0\n'],
      ];
    }),
  );

describe('what this process may use of its machine', () => {
  it('is all of it where nothing limits it', () => {
    expect(machine()).toEqual({
      cores: { physical: 4 },
      memory: { bytes: 6 * gib, kind: 'available' },
    });
  });

  it('counts two processors that share a core once', () => {
    expect(machine(topology([0, 0, 1, 1])).cores).toEqual({ physical: 2 });
    expect(machine(topology([0, 1, 2, 3])).cores).toEqual({ physical: 4 });
  });

  it('counts the processors that the scheduler may give to it', () => {
    expect(machine({ '/proc/self/status': 'Cpus_allowed_list:\t1,3\n' }).cores).toEqual({ physical: 2 });
  });

  it('reads the limits of control groups of version 2, the least of the group and those around it', () => {
    expect(
      machine({
        '/proc/self/cgroup': '0::/kubepods/pod1/runtime\n',
        '/sys/fs/cgroup/kubepods/pod1/cpu.max': '250000 100000\n',
        '/sys/fs/cgroup/kubepods/pod1/runtime/cpu.max': 'max 100000\n',
        '/sys/fs/cgroup/kubepods/memory.max': `${5 * gib}\n`,
        '/sys/fs/cgroup/kubepods/pod1/runtime/memory.max': `${2 * gib}\n`,
      }),
    ).toEqual({ cores: { physical: 4, quota: 2.5 }, memory: { bytes: 2 * gib, kind: 'limit' } });
  });

  it('reads them within a container, where the file system begins at its own group', () => {
    expect(
      machine({
        '/proc/self/cgroup': '0::/\n',
        '/sys/fs/cgroup/cpu.max': '150000 100000\n',
        '/sys/fs/cgroup/memory.max': `${gib}\n`,
      }),
    ).toEqual({ cores: { physical: 4, quota: 1.5 }, memory: { bytes: gib, kind: 'limit' } });
  });

  it('reads those of version 1, where no limit is -1 or a number that no machine reaches', () => {
    const groups = { '/proc/self/cgroup': '4:memory:/pod\n3:cpu,cpuacct:/pod\n' };
    expect(
      machine({
        ...groups,
        '/sys/fs/cgroup/cpu/pod/cpu.cfs_quota_us': '300000\n',
        '/sys/fs/cgroup/cpu/pod/cpu.cfs_period_us': '100000\n',
        '/sys/fs/cgroup/memory/pod/memory.limit_in_bytes': `${gib}\n`,
      }),
    ).toEqual({ cores: { physical: 4, quota: 3 }, memory: { bytes: gib, kind: 'limit' } });
    expect(
      machine({
        ...groups,
        '/sys/fs/cgroup/cpu/pod/cpu.cfs_quota_us': '-1\n',
        '/sys/fs/cgroup/cpu/pod/cpu.cfs_period_us': '100000\n',
        '/sys/fs/cgroup/memory/pod/memory.limit_in_bytes': '9223372036854771712\n',
      }),
    ).toEqual(machine());
  });

  it('is what Node says where the kernel has none of these files', () => {
    const { cores, memory } = readMachine(() => undefined);
    expect(cores.physical).toBeGreaterThan(0);
    expect(memory).toMatchObject({ kind: 'available', bytes: expect.any(Number) });
  });
});
