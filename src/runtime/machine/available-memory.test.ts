import { describe, expect, it } from 'vitest';
import { availableMemory } from './available-memory.ts';

const machine = { '/proc/meminfo': 'MemTotal: 16000 kB\nMemFree: 1 kB\nMemAvailable:   8000 kB\n' };
const of = (files: Readonly<Record<string, string>>) => availableMemory((path) => files[path]);

describe('the memory that there is', () => {
  it('is not known where the system does not tell', () => {
    expect(of({})).toBeUndefined();
  });

  it('is what the machine has where nothing limits it', () => {
    const bytes = 8000 * 1024;
    expect(of(machine)).toEqual({ bytes, own: false });
    expect(of({ ...machine, '/proc/self/cgroup': '0::/\n' })).toEqual({ bytes, own: false });
    const none = { '/proc/self/cgroup': '0::/x\n', '/sys/fs/cgroup/x/memory.max': 'max\n' };
    expect(of({ ...machine, ...none, '/sys/fs/cgroup/x/memory.current': '1\n' })).toMatchObject({
      own: false,
    });
    // The largest number that version 1 knows stands for no limit.
    const v1 = {
      '/proc/self/cgroup': '5:cpu,cpuacct:/\n4:memory:/\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': '500\n',
    };
    expect(of({ ...machine, ...v1 })).toEqual({ bytes, own: false });
  });

  it('is what the tightest group leaves, where pages of files count as free', () => {
    const groups = {
      '/proc/self/cgroup': '0::/kubepods/pod1/c\n',
      '/sys/fs/cgroup/kubepods/pod1/memory.max': '1000000\n',
      '/sys/fs/cgroup/kubepods/pod1/memory.current': '700000\n',
      '/sys/fs/cgroup/kubepods/pod1/memory.stat': 'anon 1\ninactive_file 200000\nactive_file 100000\n',
      '/sys/fs/cgroup/kubepods/pod1/c/memory.max': '5000000\n',
      '/sys/fs/cgroup/kubepods/pod1/c/memory.current': '1\n',
    };
    expect(of({ ...machine, ...groups })).toEqual({ bytes: 600_000, own: true });
  });

  it('is that of the group that a container sees as its root', () => {
    const v2 = {
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/memory.max': '2000\n',
      '/sys/fs/cgroup/memory.current': '500\n',
    };
    expect(of({ ...machine, ...v2 })).toEqual({ bytes: 1500, own: true });
    // With version 1 the path is that of the host.
    const v1 = {
      '/proc/self/cgroup': '11:memory:/docker/abc\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '3000\n',
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': '2500\n',
      '/sys/fs/cgroup/memory/memory.stat': 'inactive_file 7\ntotal_inactive_file 400\ntotal_active_file 0\n',
    };
    expect(of({ ...machine, ...v1 })).toEqual({ bytes: 900, own: true });
    expect(of({ ...machine, ...v1, '/sys/fs/cgroup/memory/memory.usage_in_bytes': '9999' })).toEqual({
      bytes: 0,
      own: true,
    });
  });
});
