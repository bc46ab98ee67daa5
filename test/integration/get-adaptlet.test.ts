import { existsSync, readFileSync } from 'node:fs';
import { readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { codeBlocks } from '../support/code-blocks.ts';
import { repositoryRoot } from '../support/process.ts';
import { runProgram } from '../support/program.ts';
import { folderOfTests } from '../support/temporary-folder.ts';

const page = readFileSync(join(repositoryRoot, 'docs/how-to/get-adaptlet.md'), 'utf8');
const analyze = '/usr/bin/systemd-analyze';
const hasSystemd = existsSync(analyze);

const folder = folderOfTests();

describe('docs/how-to/get-adaptlet.md', () => {
  it('has commands that put the program of a checkout on the PATH', async () => {
    const [path = '', ...rest] = codeBlocks(page, 'sh');
    expect(rest).toEqual([]);
    const env = { HOME: folder, PATH: process.env['PATH'] ?? '' };
    const result = await runProgram('bash', ['-ec', path], { cwd: repositoryRoot, env });
    expect(result).toMatchObject({ code: 0, stdout: `${packageJson.version}\n` });
    const linked = join(folder, '.local/bin/adaptlet');
    expect(await readlink(linked)).toBe(join(repositoryRoot, 'bin/adaptlet'));
    expect(await runProgram(linked, ['--version'])).toMatchObject({ stdout: `${packageJson.version}\n` });
  });

  const reason = hasSystemd ? '' : ' (SKIPPED: systemd-analyze is not installed)';
  it.skipIf(!hasSystemd)(`has a unit that systemd takes${reason}`, async () => {
    const [unit = '', ...rest] = codeBlocks(page, 'ini');
    expect(rest).toEqual([]);
    const file = join(folder, 'adaptlet.service');
    await writeFile(file, unit.replace('/opt/adaptlet', repositoryRoot));
    expect(await runProgram(analyze, ['verify', file])).toMatchObject({ code: 0, stderr: '' });
    await writeFile(file, unit);
    // It looks whether the program is there, so it did look.
    expect((await runProgram(analyze, ['verify', file])).code).not.toBe(0);
  });
});
