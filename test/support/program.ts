import { spawn } from 'node:child_process';
import { repositoryRoot } from './process.ts';

export type ProgramResult = { readonly code: number; readonly stdout: string; readonly stderr: string };

export type ProgramOptions = {
  /** Default: the root of the repository. */
  readonly cwd?: string;
  /** On top of those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
};

/**
 * Runs a program to its end; a signal that ends it counts as code 1.
 * @throws it cannot be started
 */
export const runProgram = (
  command: string,
  args: readonly string[],
  { cwd = repositoryRoot, env = {}, stdin = '' }: ProgramOptions = {},
): Promise<ProgramResult> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env } });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, stdout, stderr }));
    // It may end before it has read everything: what it says then is in its result.
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin);
  });
