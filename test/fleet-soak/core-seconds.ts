import { readFile } from 'node:fs/promises';
import { childrenOf } from '../bench/process-memory.ts';

/** Ticks of the kernel in a second, on every Linux that we know. */
const ticks = 100;

/** Seconds of processor time that a process used, with all that it started: those that ended are counted by the kernel. */
export const coreSeconds = async (pid = process.pid): Promise<number> => {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (text === undefined) return 0;
  // The name, in parentheses, may have spaces; after it comes the third field.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const own = [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field]), 0) / ticks;
  const children = await childrenOf(pid).catch(() => []);
  const below = await Promise.all(children.map((child) => coreSeconds(child)));
  return own + below.reduce((sum, seconds) => sum + seconds, 0);
};
