import { readdir, readFile } from 'node:fs/promises';

const nsPerMs = 1e6;

const ofThread = async (pid: number, thread: number): Promise<number> => {
  const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8');
  return Number(text.split(' ')[0]) / nsPerMs;
};

/** Milliseconds of processor time of a process' first thread, which runs its event loop. */
export const ofLoop = (pid: number): Promise<number> => ofThread(pid, pid);

/** Of all threads that it has now. */
export const ofProcess = async (pid: number): Promise<number> => {
  const threads = await readdir(`/proc/${pid}/task`);
  const times = await Promise.all(threads.map((thread) => ofThread(pid, Number(thread)).catch(() => 0)));
  return times.reduce((sum, ms) => sum + ms, 0);
};
