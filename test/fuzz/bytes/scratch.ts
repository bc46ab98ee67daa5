import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { workerData } from 'node:worker_threads';
import type { Order } from './run.ts';

export const makeScratch = (): string => mkdtempSync(join(tmpdir(), 'adaptlet-fuzz-'));

const own = (): string => {
  const made = makeScratch();
  process.once('exit', () => rmSync(made, { recursive: true, force: true }));
  return made;
};

let folder: string | undefined;

/** A folder for what readers want as files: that of the run in a thread of one, else one of this process. */
export const scratch = (): string => {
  folder ??= (workerData as Partial<Order> | null)?.scratch ?? own();
  return folder;
};
