import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isOwn, type Platform } from './platforms.ts';

const run = promisify(execFile);
const postject = join(import.meta.dirname, '../../node_modules/postject/dist/cli.js');
/** Of Node's documentation (Single executable applications): where Node looks, and the mark that it does. */
const resource = 'NODE_SEA_BLOB';
/**
 * Hashes of strings are part of compiled code, and by a random seed no two builds would be alike. V8 takes compiled code
 * only where it runs with the flags with which it was made.
 */
const seed: readonly string[] = ['--hash-seed=1'];
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/**
 * Writes the Node at `node` with the script inside to `target`. For the platform of this process the compiled code is inside as well;
 * V8 makes it only for its own.
 */
export const writeExecutable = async (
  platform: Platform,
  node: string,
  script: Uint8Array,
  target: string,
): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-plugin-'));
  try {
    const blob = join(folder, 'blob');
    const config = join(folder, 'sea.json');
    // A name of its own: it is part of the compiled code, and a folder at random would be, too.
    await writeFile(join(folder, 'kubectl-adaptlet.cjs'), script);
    const flags = isOwn(platform) ? seed : [];
    const settings = {
      main: 'kubectl-adaptlet.cjs',
      output: blob,
      disableExperimentalSEAWarning: true,
      useCodeCache: isOwn(platform),
      execArgv: flags,
    };
    await writeFile(config, JSON.stringify(settings));
    await run(process.execPath, [...flags, '--experimental-sea-config', config], { cwd: folder });
    await copyFile(node, target);
    await chmod(target, 0o755);
    // It warns of sections without a name, which Node's own builds have.
    await run(process.execPath, [postject, target, resource, blob, '--sentinel-fuse', fuse], {
      maxBuffer: 16 << 20,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
