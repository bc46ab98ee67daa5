import { existsSync, readdirSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Memory where there is some: etcd and the certificates of tests need no disk. */
const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const prefix = 'adaptlet-cluster-';

const made = new Set<string>();
process.on('exit', () => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});

const lives = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
};

/** What test processes left that were killed. */
const removeLeftovers = (): void => {
  for (const name of readdirSync(parent)) {
    const pid = Number(/^adaptlet-cluster-(\d+)-/.exec(name)?.[1]);
    if (pid > 0 && !lives(pid)) rmSync(join(parent, name), { recursive: true, force: true });
  }
};

/** A folder that goes with this process. */
export const makeFolder = async (): Promise<string> => {
  removeLeftovers();
  const folder = await mkdtemp(join(parent, `${prefix}${process.pid}-`));
  made.add(folder);
  return folder;
};

export const removeFolder = async (folder: string): Promise<void> => {
  await rm(folder, { recursive: true, force: true });
  made.delete(folder);
};
