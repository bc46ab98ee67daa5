import { join } from 'node:path';
import { groupsFor, numberIn, type ReadText, readText } from './control-groups.ts';

/** Memory of a control group that has a limit. Bytes. */
export type GroupMemory = {
  /** Its folder. */
  readonly group: string;
  /** From where on the kernel kills, or slows everything down (`memory.high`). */
  readonly limitBytes: number;
  /** All that counts against the limit, pages of files included. */
  readonly usedBytes: number;
  /** Pages of files of it. */
  readonly fileBytes: number;
  /** Pages of files that processes have mapped. */
  readonly mappedBytes: number;
  /** What the kernel keeps for itself and gives up when it has to. */
  readonly slabBytes: number;
  /** Percent of the last 10 seconds in which nothing in the group could go on for lack of memory (PSI); 0 where the kernel does not say. */
  readonly stalledPercent: number;
};

/** The names of both versions. Those of version 1 with `total_` count the groups within it, as its usage does. */
const versions = {
  v2: {
    limits: ['memory.max', 'memory.high'],
    used: 'memory.current',
    pages: ['active_file', 'inactive_file'],
    mapped: 'file_mapped',
    slab: 'slab_reclaimable',
    kills: 'memory.events',
  },
  v1: {
    limits: ['memory.limit_in_bytes'],
    used: 'memory.usage_in_bytes',
    pages: ['total_active_file', 'total_inactive_file'],
    mapped: 'total_mapped_file',
    slab: '',
    kills: 'memory.oom_control',
  },
} as const;

/** Version 1 has a number that no machine reaches in place of no limit. */
const noLimit = 2 ** 60;

/** Lines of a name and a number. */
const linesOf = (text: string | undefined): ReadonlyMap<string, number> =>
  new Map([...(text ?? '').matchAll(/^(\w+) (\d+)$/gm)].map(([, name = '', value]) => [name, Number(value)]));

/** Percent of the last 10 seconds, of a file as `full avg10=1.25 avg60=…`. */
export const stalledIn = (text: string | undefined): number =>
  Number(/^full avg10=([\d.]+)/m.exec(text ?? '')?.[1] ?? 0);

const readGroup = (
  group: string,
  version: keyof typeof versions,
  read: ReadText,
): GroupMemory | undefined => {
  const { limits, used, pages, mapped, slab } = versions[version];
  const limitBytes = Math.min(
    ...limits.map((limit) => numberIn(read(join(group, limit))) ?? Number.POSITIVE_INFINITY),
  );
  const usedBytes = numberIn(read(join(group, used)));
  if (limitBytes >= noLimit || usedBytes === undefined) return undefined;
  const stat = linesOf(read(join(group, 'memory.stat')));
  return {
    group,
    limitBytes,
    usedBytes,
    fileBytes: pages.reduce((sum, name) => sum + (stat.get(name) ?? 0), 0),
    mappedBytes: stat.get(mapped) ?? 0,
    slabBytes: stat.get(slab) ?? 0,
    stalledPercent: stalledIn(read(join(group, 'memory.pressure'))),
  };
};

const bothVersions = ['v2', 'v1'] as const;

/** A reader of the groups of this process, and of those that they are in, as far as they have a limit now. */
export const limitedGroups = (read: ReadText = readText): (() => readonly GroupMemory[]) => {
  const groups = groupsFor('memory', read);
  return () =>
    bothVersions.flatMap((version) =>
      groups[version].flatMap((group) => readGroup(group, version, read) ?? []),
    );
};

/** A reader of how many processes of the own group the kernel killed for lack of memory; those around it count others as well. */
export const killsCount = (read: ReadText = readText): (() => number) => {
  const groups = groupsFor('memory', read);
  const files = bothVersions.flatMap((version) =>
    groups[version].map((group) => join(group, versions[version].kills)),
  );
  const own = files.find((file) => read(file) !== undefined);
  return () => (own === undefined ? 0 : (linesOf(read(own)).get('oom_kill') ?? 0));
};
