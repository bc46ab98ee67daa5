import { execFileSync } from 'node:child_process';
import { waitFor } from './wait.ts';

/** Takes a small disk away once nobody has files there: an engine that is killed with its runtime ends a moment after it. */
export const unmount = (path: string): Promise<true> =>
  waitFor(`${path} to be let go`, () => {
    execFileSync('umount', [path]);
    return true as const;
  });
