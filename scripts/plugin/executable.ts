import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const postject = join(import.meta.dirname, '../../node_modules/postject/dist/cli.js');
/** Of Node's documentation (Single executable applications): where Node looks, and the mark that it does. */
const resource = 'NODE_SEA_BLOB';
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** Writes the Node at `node` with the script inside to `target`. */
export const writeExecutable = async (node: string, script: Uint8Array, target: string): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-plugin-'));
  try {
    const blob = join(folder, 'blob');
    const config = join(folder, 'sea.json');
    await writeFile(join(folder, 'kubectl-adaptlet.cjs'), script);
    const settings = {
      main: 'kubectl-adaptlet.cjs',
      output: blob,
      disableExperimentalSEAWarning: true,
    };
    await writeFile(config, JSON.stringify(settings));
    await run(process.execPath, ['--experimental-sea-config', config], { cwd: folder });
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
