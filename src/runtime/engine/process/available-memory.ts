import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { AvailableMemory } from '../schedule/kv-budget.ts';

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

/** Where a version of control groups has its limit, what is used of it, and what of that are pages of files. */
const versions = [
  {
    line: /^0::(.*)$/m,
    root: '/sys/fs/cgroup',
    limit: 'memory.max',
    used: 'memory.current',
    pages: /^(?:in)?active_file (\d+)$/gm,
  },
  {
    line: /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m,
    root: '/sys/fs/cgroup/memory',
    limit: 'memory.limit_in_bytes',
    used: 'memory.usage_in_bytes',
    pages: /^total_(?:in)?active_file (\d+)$/gm,
  },
] as const;

const numberIn = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+\s*$/.test(text) ? Number(text) : undefined;

/** What the limit of one group leaves: pages of files make way when memory is asked for. */
const leftIn = (
  group: string,
  { limit, used, pages }: (typeof versions)[number],
  read: ReadText,
): number | undefined => {
  const most = numberIn(read(join(group, limit)));
  const taken = numberIn(read(join(group, used)));
  if (most === undefined || taken === undefined) return undefined;
  const files = [...(read(join(group, 'memory.stat')) ?? '').matchAll(pages)];
  return most - taken + files.reduce((sum, [, bytes]) => sum + Number(bytes), 0);
};

/** A group and those that it is in. Within a container, the file system begins at its own group. */
const groupsOf = (root: string, path: string): readonly string[] => {
  const groups: string[] = [root];
  for (let at = path; at !== '/' && at !== '.'; at = dirname(at)) groups.push(join(root, at));
  return groups;
};

/** Memory that is left to these processes: by the limits of their control groups, or by what the machine has. Linux only. */
export const availableMemory = (read: ReadText = readText): AvailableMemory | undefined => {
  const free = /^MemAvailable:\s+(\d+) kB$/m.exec(read('/proc/meminfo') ?? '')?.[1];
  if (free === undefined) return undefined;
  const machine = Number(free) * 1024;
  const groups = read('/proc/self/cgroup') ?? '';
  const left = versions.flatMap((version) => {
    const path = version.line.exec(groups)?.[1];
    if (path === undefined) return [];
    return groupsOf(version.root, path).flatMap((group) => leftIn(group, version, read) ?? []);
  });
  const least = Math.min(...left);
  return least < machine ? { bytes: Math.max(0, least), own: true } : { bytes: machine, own: false };
};
