import { execFile } from 'node:child_process';
import { chmod, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ownArchitecture } from '../architecture.ts';
import { cachedFolder, cacheFolder } from './cache.ts';
import pins from './zig.json' with { type: 'json' };

const run = promisify(execFile);

/** The C compiler of Zig, out of a wheel of PyPI: it has headers and libraries for every system that it compiles for. */
export type Zig = {
  readonly version: string;
  /** Of the wheel for this machine, hexadecimal. */
  readonly sha256: string;
  readonly program: string;
};

const pip = async (args: readonly string[]): Promise<void> => {
  try {
    await run('python3', ['-m', 'pip', ...args], { maxBuffer: 16 << 20 });
  } catch (cause) {
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : '';
    throw new Error(
      `pip ${args.join(' ')}: ${said || String(cause)} (an image needs python3 with pip: python3-pip)`,
      { cause },
    );
  }
};

/**
 * Zig, unpacked; 100 MB are downloaded once.
 * @throws no python3 with pip, no network, a wheel with another digest
 */
export const zig = async ({ version, wheels } = pins): Promise<Zig> => {
  const own = ownArchitecture();
  if (own === undefined) throw new Error(`there is no Zig for ${process.arch}: use x64 or arm64`);
  const { platform, sha256 } = wheels[own.npm];
  const folder = await cachedFolder(
    join(cacheFolder('pypi'), `ziglang-${version}-${sha256.slice(0, 16)}`),
    async (draft) => {
      const wanted = join(draft, 'requirements.txt');
      await writeFile(wanted, `ziglang==${version} --hash=sha256:${sha256}\n`);
      const only = ['--no-deps', '--only-binary=:all:', `--platform=${platform}`, '--require-hashes'];
      await pip([
        'download',
        '--quiet',
        '--disable-pip-version-check',
        ...only,
        '--dest',
        draft,
        '-r',
        wanted,
      ]);
      const wheel = (await readdir(draft)).find((name) => name.endsWith('.whl')) ?? '';
      await run('python3', ['-m', 'zipfile', '-e', join(draft, wheel), draft]);
      await rm(join(draft, wheel));
      await chmod(join(draft, 'ziglang/zig'), 0o755);
    },
  );
  return { version, sha256, program: join(folder, 'ziglang/zig') };
};
