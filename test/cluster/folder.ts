import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Memory where there is some: etcd and the certificates of tests need no disk. */
const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
const prefix = 'adaptlet-cluster-';

/** Processes of a lab that are ending may still write: then the next start removes it. */
const removeNow = (folder: string): void => {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch (error) {
    if (!['ENOTEMPTY', 'EBUSY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
};

const made = new Set<string>();
process.on('exit', () => {
  for (const folder of made) removeNow(folder);
});

/** Whether the process that made something of this name has ended. False for a name that no process of tests gives. */
export const isLeft = (name: string): boolean => {
  const pid = Number(/^adaptlet-cluster-(\d+)-/.exec(name)?.[1]);
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'EPERM';
  }
};

/** A folder that goes with this process; what test processes left in `parent` that were killed goes now. */
export const makeFolder = async (parent: string = memory): Promise<string> => {
  mkdirSync(parent, { recursive: true });
  for (const name of readdirSync(parent)) if (isLeft(name)) removeNow(join(parent, name));
  const folder = await mkdtemp(join(parent, `${prefix}${process.pid}-`));
  made.add(folder);
  return folder;
};

export const removeFolder = async (folder: string): Promise<void> => {
  await rm(folder, { recursive: true, force: true });
  made.delete(folder);
};
