import { type ReadText, readText } from './control-groups.ts';
import { type GroupMemory, killsCount, limitedGroups, stalledIn } from './group-memory.ts';

/** Something that memory can run out of: a control group with a limit, or the machine. */
export type MemoryLevel = {
  /** For people. */
  readonly name: string;
  /** A limit for these processes alone, and not all of the machine. */
  readonly own: boolean;
  readonly limitBytes: number;
  /** The working set: what is in use and would be missed. Pages of files count only while they are mapped. */
  readonly usedBytes: number;
  /** Percent of the last 10 seconds in which nothing could go on for lack of memory. */
  readonly stalledPercent: number;
};

export type MemoryReading = {
  /** Own group first, the machine last. Empty on other systems than Linux. */
  readonly levels: readonly MemoryLevel[];
  /** Processes of the group of this process that the kernel killed for lack of memory. */
  readonly kills: number;
};

const levelOf = ({ group, limitBytes, ...memory }: GroupMemory): MemoryLevel => {
  const spare = Math.max(0, memory.fileBytes - memory.mappedBytes) + memory.slabBytes;
  return {
    name: `the memory limit of ${group}`,
    own: true,
    limitBytes,
    usedBytes: Math.max(0, memory.usedBytes - spare),
    stalledPercent: memory.stalledPercent,
  };
};

/** The machine, whose kernel says itself what it could give. */
const machineOf = (read: ReadText): readonly MemoryLevel[] => {
  const text = read('/proc/meminfo') ?? '';
  const bytesOf = (name: string): number | undefined => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
    return found === undefined ? undefined : Number(found) * 1024;
  };
  const [limitBytes, available] = [bytesOf('MemTotal'), bytesOf('MemAvailable')];
  if (limitBytes === undefined || available === undefined) return [];
  return [
    {
      name: 'the memory of this machine',
      own: false,
      limitBytes,
      usedBytes: Math.max(0, limitBytes - available),
      stalledPercent: stalledIn(read('/proc/pressure/memory')),
    },
  ];
};

/** A reader of all that memory can run out of here. Limits are read anew each time: those of a pod can be changed while it runs. */
export const memoryLevels = (read: ReadText = readText): (() => MemoryReading) => {
  const groups = limitedGroups(read);
  const kills = killsCount(read);
  return () => ({ levels: [...groups().map(levelOf), ...machineOf(read)], kills: kills() });
};
