import type { Architecture } from '../../image/architecture.ts';
import { zig } from '../../image/materials/zig.ts';
import { zigCompiler } from '../../image/native-operator.ts';
import { type Cases, checkKernels } from '../../native/check-kernels.ts';

/**
 * The kernels of the native operator as the image has them, on random shapes: Zig gives the very objects of the library, and
 * compiles what is of the check alone. `runner`: what a program of that architecture is run by. Answers what the check says.
 */
export const checkImageKernels = async (
  architecture: Architecture,
  wanted: Cases,
  runner: readonly string[] = [],
): Promise<string> =>
  checkKernels({ compiler: zigCompiler(architecture, await zig()), build: 'as built', wanted, runner });
