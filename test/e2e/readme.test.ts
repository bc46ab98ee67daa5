import { execFile, spawn } from 'node:child_process';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeBlocks } from '../support/code-blocks.ts';
import { repositoryRoot } from '../support/process.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait.ts';

const run = promisify(execFile);

/** The code blocks of the README that a reader would paste. */
const blocks = async (): Promise<string[]> =>
  codeBlocks(await readFile(join(repositoryRoot, 'README.md'), 'utf8'), 'sh');

describe('the code blocks of the README', () => {
  const folder = folderOfTests();
  let ending: () => Promise<void> = async () => undefined;
  beforeAll(async () => {
    for (const part of ['examples', 'bin', 'test/fixtures']) {
      await cp(join(repositoryRoot, part), join(folder, part), { recursive: true });
    }
    // The commands run in a folder of their own on the code of this repository.
    for (const part of ['node_modules', 'src', 'package.json']) {
      await run('ln', ['-s', join(repositoryRoot, part), join(folder, part)]);
    }
  });
  afterAll(async () => {
    await ending();
  });

  it('begin with the two commands, which CI and another test run', async () => {
    const [demo, test] = await blocks();
    expect([demo, test]).toEqual(['make demo\n', 'make test\n']);
    expect(await readFile(join(repositoryRoot, '.ci/run'), 'utf8')).toContain('exec make test');
    expect(await readFile(join(repositoryRoot, 'Makefile'), 'utf8')).toContain('node test/demo/main.ts');
  });

  it('start a node and ask it', async () => {
    const [, , serve = '', asks = '', ...rest] = await blocks();
    expect(rest).toEqual([]);
    const node = spawn('bash', ['-c', `exec ${serve}`], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    ending = async () => {
      const exit = new Promise((resolve) => node.once('exit', resolve));
      node.kill('SIGTERM');
      await exit;
    };
    await new Promise((resolve) => node.stdout.once('data', resolve));
    const script = `set -e\n${asks}`;
    const stdout = await waitFor(
      'answers',
      async () => (await run('bash', ['-c', script], { cwd: folder })).stdout,
    );
    expect(stdout).toContain(' MOON!');
    expect(stdout).toContain('default/shout');
    expect(stdout).toContain('"text":" MOON!"');
  });
});
