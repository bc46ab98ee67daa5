import { join } from 'node:path';
import { freeBytes, groupsFor, numberIn, type ReadText, readText } from './control-groups.ts';

/** Memory that nobody uses yet. */
export type AvailableMemory = {
  readonly bytes: number;
  /** It is what a limit leaves to these processes; else all of the machine shares it. */
  readonly own: boolean;
};

/** Where a version of control groups has its limit, what is used of it, and what of that are pages of files. */
const files = {
  v2: { limit: 'memory.max', used: 'memory.current', pages: /^(?:in)?active_file (\d+)$/gm },
  v1: {
    limit: 'memory.limit_in_bytes',
    used: 'memory.usage_in_bytes',
    pages: /^total_(?:in)?active_file (\d+)$/gm,
  },
} as const;

/** What the limit of one group leaves: pages of files make way when memory is asked for. */
const leftIn = (group: string, version: keyof typeof files, read: ReadText): number | undefined => {
  const { limit, used, pages } = files[version];
  const most = numberIn(read(join(group, limit)));
  const taken = numberIn(read(join(group, used)));
  if (most === undefined || taken === undefined) return undefined;
  const ofFiles = [...(read(join(group, 'memory.stat')) ?? '').matchAll(pages)];
  return most - taken + ofFiles.reduce((sum, [, bytes]) => sum + Number(bytes), 0);
};

/** Memory that is left to these processes: by the limits of their control groups, or by what the machine has. Linux only. */
export const availableMemory = (read: ReadText = readText): AvailableMemory | undefined => {
  const machine = freeBytes(read);
  if (machine === undefined) return undefined;
  const groups = groupsFor('memory', read);
  const left = (['v2', 'v1'] as const).flatMap((version) =>
    groups[version].flatMap((group) => leftIn(group, version, read) ?? []),
  );
  const least = Math.min(...left);
  return least < machine ? { bytes: Math.max(0, least), own: true } : { bytes: machine, own: false };
};
