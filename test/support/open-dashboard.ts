import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { programFolder } from './process.ts';

export type OpenDashboard = AsyncDisposable & {
  /** What the command says to open in a browser. */
  readonly address: string;
  /** The same without a query. */
  readonly url: string;
};

/**
 * `kubectl adaptlet dashboard` with these arguments, as it goes on until Ctrl-C, by the kubectl in this folder.
 * @throws with what it said, where it ends instead
 */
export const openDashboard = async (
  kubectlFolder: string,
  ...args: readonly string[]
): Promise<OpenDashboard> => {
  const child = spawn(join(programFolder(), 'kubectl-adaptlet'), ['dashboard', ...args], {
    env: { ...process.env, PATH: `${kubectlFolder}${delimiter}${process.env['PATH']}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('http://127.0.0.1:')) continue;
    return {
      address: line,
      url: line.replace(/\?.*$/, ''),
      [Symbol.asyncDispose]: async () => {
        child.kill('SIGINT');
        await once(child, 'exit');
      },
    };
  }
  await once(child, 'close');
  throw new Error(said);
};
