import { freeBytes, type ReadText, readText } from './control-groups.ts';
import { type GroupMemory, limitedGroups } from './group-memory.ts';

/** Memory that nobody uses yet. */
export type AvailableMemory = {
  readonly bytes: number;
  /** It is what a limit leaves to these processes; else all of the machine shares it. */
  readonly own: boolean;
};

/** What the limit of a group leaves: all pages of files make way when memory is asked for. */
const leftIn = ({ limitBytes, usedBytes, fileBytes }: GroupMemory): number =>
  limitBytes - usedBytes + fileBytes;

/** Memory that is left to these processes: by the limits of their control groups, or by what the machine has. Linux only. */
export const availableMemory = (read: ReadText = readText): AvailableMemory | undefined => {
  const machine = freeBytes(read);
  if (machine === undefined) return undefined;
  const least = Math.min(...limitedGroups(read)().map(leftIn));
  return least < machine ? { bytes: Math.max(0, least), own: true } : { bytes: machine, own: false };
};
