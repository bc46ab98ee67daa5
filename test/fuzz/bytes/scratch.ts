import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { workerData } from 'node:worker_threads';
import type { Order } from './run.ts';

export const makeScratch = (): string => mkdtempSync(join(tmpdir(), 'adaptlet-fuzz-'));

let own: string | undefined;

/** Removes the folder of this process; its next one is another. A process of Vitest ends without saying so. */
export const removeScratch = (): void => {
  if (own !== undefined) rmSync(own, { recursive: true, force: true });
  own = undefined;
};
process.once('exit', removeScratch);

/** A folder for what readers want as files: that of the run in a thread of one, else one of this process. */
export const scratch = (): string => {
  const { scratch: ofRun } = (workerData ?? {}) as Partial<Order>;
  if (ofRun !== undefined) return ofRun;
  own ??= makeScratch();
  return own;
};
