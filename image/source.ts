import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
export const root = join(import.meta.dirname, '..');

export type Source = {
  /** Commit, with `-dirty` where tracked files were changed. */
  readonly revision: string;
  /** Time of the commit, ISO 8601. */
  readonly created: string;
};

const git = async (...args: string[]): Promise<string> =>
  (await run('git', args, { cwd: root })).stdout.trim();

/** Where the code stands in git; undefined outside a repository, as in an unpacked archive. */
export const readSource = async (): Promise<Source | undefined> => {
  try {
    const seconds = Number(await git('log', '-1', '--format=%ct'));
    const commit = await git('rev-parse', 'HEAD');
    const changes = await git('status', '--porcelain', '--untracked-files=no');
    return {
      revision: changes === '' ? commit : `${commit}-dirty`,
      created: new Date(seconds * 1000).toISOString(),
    };
  } catch {
    return undefined;
  }
};
