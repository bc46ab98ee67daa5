import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Architecture } from '../../image/architecture.ts';
import { zig } from '../../image/materials/zig.ts';
import { zigCompiler } from '../../image/native-operator.ts';
import { type Cases, checkKernels } from '../../native/check-kernels.ts';

/**
 * The kernels of the native operator as the image has them, on random shapes. `runner`: what a program of that architecture is
 * run by. Answers what the check says.
 */
export const checkImageKernels = async (
  architecture: Architecture,
  wanted: Cases,
  runner: readonly string[] = [],
): Promise<string> => {
  const cache = await mkdtemp(join(tmpdir(), 'adaptlet-zig-'));
  try {
    const compiler = zigCompiler(architecture, await zig(), cache);
    return await checkKernels({ compiler, build: 'as built', wanted, runner });
  } finally {
    await rm(cache, { recursive: true, force: true });
  }
};
