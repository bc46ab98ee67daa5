import { describe, expect, it } from 'vitest';
import { hybrid, inContainer, pod, podOfVersion1 } from './memory-levels.fixture.ts';
import { memoryLevels } from './memory-levels.ts';

const of = (files: Readonly<Record<string, string>>) => memoryLevels((path) => files[path])();

describe('what memory can run out of', () => {
  it('is nothing where the system does not tell', () => {
    expect(of({})).toEqual({ levels: [], kills: 0 });
  });

  it('with version 2 is each group that has a limit, and the machine', () => {
    expect(of(pod)).toEqual({
      levels: [
        {
          name: 'the memory limit of /sys/fs/cgroup/kubepods.slice/pod7.slice/runtime.scope',
          own: true,
          // memory.high is less than memory.max: from there on everything is slowed down.
          limitBytes: 1_800_000_000,
          // Pages of files that are mapped are missed when they go, others and reclaimable slab are not.
          usedBytes: 1_700_000_000 - (300_000_000 + 100_000_000 - 150_000_000) - 20_000_000,
          stalledPercent: 1.25,
        },
        {
          name: 'the memory limit of /sys/fs/cgroup/kubepods.slice',
          own: true,
          limitBytes: 7_000_000_000,
          usedBytes: 3_000_000_000,
          stalledPercent: 0,
        },
        {
          name: 'the memory of this machine',
          own: false,
          limitBytes: 8_000_000 * 1024,
          usedBytes: 5_000_000 * 1024,
          stalledPercent: 2.5,
        },
      ],
      // Of its own group: those around it count those of other pods as well.
      kills: 1,
    });
  });

  it('with version 1 counts what is in the groups within it, and no limit is a number that no machine reaches', () => {
    expect(of(podOfVersion1)).toEqual({
      levels: [
        {
          name: 'the memory limit of /sys/fs/cgroup/memory/kubepods/pod7',
          own: true,
          limitBytes: 1_073_741_824,
          usedBytes: 900_000_000 - (200_000_000 + 50_000_000 - 30_000_000),
          stalledPercent: 0,
        },
        expect.objectContaining({ own: false }),
      ],
      kills: 2,
    });
  });

  it('is found by its mount, where version 2 lies beside version 1', () => {
    expect(of(hybrid).levels.map(({ name }) => name)).toEqual([
      'the memory limit of /sys/fs/cgroup/memory/lab/runtime',
      'the memory of this machine',
    ]);
  });

  it('within a container is the group that the mount begins at', () => {
    expect(of(inContainer).levels).toEqual([
      expect.objectContaining({ name: 'the memory limit of /sys/fs/cgroup/memory', limitBytes: 536_870_912 }),
      expect.objectContaining({ own: false }),
    ]);
  });

  it('is read anew: the limit of a pod can be changed while it runs', () => {
    const files: Record<string, string> = { ...inContainer };
    const read = memoryLevels((path) => files[path]);
    expect(read().levels[0]?.limitBytes).toBe(536_870_912);
    files['/sys/fs/cgroup/memory/memory.limit_in_bytes'] = '1073741824\n';
    expect(read().levels[0]?.limitBytes).toBe(1_073_741_824);
  });

  it('counts no working set below zero, whatever the files say', () => {
    const files = { ...inContainer, '/sys/fs/cgroup/memory/memory.usage_in_bytes': '1\n' };
    expect(of(files).levels[0]?.usedBytes).toBe(0);
    expect(
      of({ ...inContainer, '/sys/fs/cgroup/memory/memory.stat': 'garbage\n\n' }).levels[0]?.usedBytes,
    ).toBe(400_000_000);
  });
});
