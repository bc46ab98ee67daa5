import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { repositoryRoot } from './node.ts';

export type CliResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Runs `adaptlet` as a person would. */
export const adaptlet = (...args: readonly string[]): Promise<CliResult> =>
  new Promise((resolve) => {
    execFile(
      join(repositoryRoot, 'bin/adaptlet'),
      [...args],
      { cwd: repositoryRoot },
      (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      },
    );
  });
