import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { architectures } from '../../image/architecture.ts';
import { zig } from '../../image/materials/zig.ts';
import { zigCompiler } from '../../image/native-operator.ts';
import { type Cases, checkKernels } from '../../native/check-kernels.ts';
import { emulator } from '../support/emulated.ts';

/** The kernels for arm64, as the image has them, on random shapes by QEMU with the C library of the image. */
export const checkArm64Kernels = async (rootfs: string, wanted: Cases): Promise<string> => {
  const cache = await mkdtemp(join(tmpdir(), 'adaptlet-zig-'));
  try {
    const compiler = zigCompiler(architectures.arm64, await zig(), cache);
    const runner = [await emulator(), '-L', rootfs];
    return await checkKernels({ compiler, build: 'as built', wanted, runner });
  } finally {
    await rm(cache, { recursive: true, force: true });
  }
};
