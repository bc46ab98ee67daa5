import { readdir, readFile } from 'node:fs/promises';

/** Ticks of the kernel in a second, on every Linux that we know. */
const ticks = 100;

/** Bytes that a process has in RAM, in MiB. */
export const rssMib = async (pid: number): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
};

/** Seconds of processor time that a process has used. */
const cpuSeconds = async (pid: number): Promise<number> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may have spaces; after it comes the third field.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticks;
};

/** The children of this process that have this name, of which Linux keeps 15 characters. */
export const childrenCalled = async (name: string): Promise<readonly number[]> => {
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
    const [, comm, parent] = /^\d+ \((.*)\) \S (\d+) /.exec(stat) ?? [];
    if (comm === name.slice(0, 15) && Number(parent) === process.pid) found.push(Number(entry));
  }
  return found;
};

/** Processes by what they are. */
export type Groups = Readonly<Record<string, readonly number[]>>;

/** Seconds of processor time that all processes of this machine have used, those of others included. */
const machineSeconds = async (): Promise<number> => {
  const [, ...fields] = (await readFile('/proc/stat', 'utf8')).split('\n')[0]?.split(/ +/) ?? [];
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, soft = 0, steal = 0] = fields.map(Number);
  return (user + nice + system + interrupts + soft + steal) / ticks;
};

/**
 * Begins to measure; the result says the share of a core that each group used since then, their sum as `all`, and as
 * `machine` what all processes of the machine used.
 */
export const startCpuMeter = async (groups: Groups): Promise<() => Promise<Record<string, number>>> => {
  const look = async (): Promise<Record<string, number>> => {
    const used: Record<string, number> = { all: 0, machine: await machineSeconds() };
    for (const [name, pids] of Object.entries(groups)) {
      const seconds = await Promise.all(pids.map(cpuSeconds));
      used[name] = seconds.reduce((sum, one) => sum + one, 0);
      used['all'] = (used['all'] ?? 0) + used[name];
    }
    return used;
  };
  const [before, began] = [await look(), performance.now()];
  return async () => {
    const [now, seconds] = [await look(), (performance.now() - began) / 1000];
    return Object.fromEntries(
      Object.entries(now).map(([name, used]) => [name, (used - (before[name] ?? 0)) / seconds]),
    );
  };
};
