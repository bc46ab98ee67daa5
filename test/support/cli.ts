import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { repositoryRoot } from './node.ts';

export type CliResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

const program =
  (name: string) =>
  (...args: readonly string[]): Promise<CliResult> =>
    new Promise((resolve) => {
      execFile(
        join(repositoryRoot, 'bin', name),
        [...args],
        { cwd: repositoryRoot },
        (error, stdout, stderr) => {
          resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
        },
      );
    });

/** Runs `adaptlet` as a person would. */
export const adaptlet = program('adaptlet');
/** Runs the kubectl plug-in, by its own name. */
export const kubectlAdaptlet = program('kubectl-adaptlet');
