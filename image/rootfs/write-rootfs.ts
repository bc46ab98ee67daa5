import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Layer } from '../oci/layer.ts';

const run = promisify(execFile);

/** Writes the root file system into a folder, by tar. Files belong to root only where root does it. */
export const writeRootfs = async (layers: readonly Layer[], folder: string): Promise<void> => {
  await mkdir(folder, { recursive: true });
  for (const { file } of layers) await run('tar', ['-xzpf', file, '-C', folder]);
};
