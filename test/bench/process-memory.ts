import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { quantile } from './report.ts';

const kibPerMib = 1024;
const settleMs = 500;

/** MiB of a process and of all that it started. */
export type ProcessMemory = {
  /** Proportional set size: private pages, and its part of those that are shared. Other programs change that part. */
  readonly pss: number;
  /** Resident set size: all pages, those that are shared included. */
  readonly rss: number;
  /** Pages of no file. */
  readonly anonymous: number;
};

/** MiB of a process alone. */
export const memoryOfOne = async (pid: number): Promise<ProcessMemory> => {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const of = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]) / kibPerMib;
  return { pss: of('Pss'), rss: of('Rss'), anonymous: of('Pss_Anon') };
};

/**
 * Resident set size in MiB of a process and of all that it started, by counters of the kernel: its pages are not gone through, so that it
 * can be asked often while something else is measured.
 */
export const residentOf = async (pid: number): Promise<number> => {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  const own = Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1]) / kibPerMib;
  // One that ends meanwhile has none.
  const below = (await childrenOf(pid)).map((child) => residentOf(child).catch(() => 0));
  return (await Promise.all(below)).reduce((sum, mib) => sum + mib, own);
};

/** Processes that a process started. */
export const childrenOf = async (pid: number): Promise<readonly number[]> => {
  const threads = await readdir(`/proc/${pid}/task`);
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(() => '')),
  );
  return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number));
};

export const memoryOf = async (pid: number): Promise<ProcessMemory> => {
  let { pss, rss, anonymous } = await memoryOfOne(pid);
  for (const child of await childrenOf(pid)) {
    // It can end meanwhile.
    const below = await memoryOf(child).catch(() => ({ pss: 0, rss: 0, anonymous: 0 }));
    pss += below.pss;
    rss += below.rss;
    anonymous += below.anonymous;
  }
  return { pss, rss, anonymous };
};

/** The middle of some readings with pauses between them: garbage of JavaScript comes and goes. */
export const settledMemory = async (pid: number): Promise<ProcessMemory> => {
  const readings: ProcessMemory[] = [];
  for (let i = 0; i < 5; i += 1) {
    await sleep(settleMs);
    readings.push(await memoryOf(pid));
  }
  const middle = (of: (one: ProcessMemory) => number): number => quantile(readings.map(of), 0.5);
  return {
    pss: middle(({ pss }) => pss),
    rss: middle(({ rss }) => rss),
    anonymous: middle(({ anonymous }) => anonymous),
  };
};
