import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const module = join(import.meta.dirname, 'core-files.ts');

/** What the kernel puts into a core file of a process, and of one that it starts. */
const filters = async (coreFiles: string): Promise<{ own: string; child: string; warned: boolean }> => {
  const code = `
    import { execFileSync } from 'node:child_process';
    import { readFileSync } from 'node:fs';
    const { keepMemoryOutOfCores } = await import(${JSON.stringify(module)});
    let warned = false;
    keepMemoryOutOfCores(${JSON.stringify(coreFiles)}, { warn: () => { warned = true; } });
    const own = readFileSync('/proc/self/coredump_filter', 'utf8').trim();
    const child = execFileSync('cat', ['/proc/self/coredump_filter'], { encoding: 'utf8' }).trim();
    console.log(JSON.stringify({ own, child, warned }));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code]);
  return JSON.parse(stdout) as Awaited<ReturnType<typeof filters>>;
};

describe.skipIf(process.platform !== 'linux')('a core file', () => {
  it('has no memory of a process, nor of those that it starts', async () => {
    expect(await filters('headers')).toEqual({ own: '00000010', child: '00000010', warned: false });
  });

  it('has what it has by default where somebody wants memory in it', async () => {
    const { own } = await filters('memory');
    expect(own).not.toBe('00000010');
  });
});
