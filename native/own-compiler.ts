import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Compiler, isOperatorArchitecture } from './build-operator.ts';

const run = promisify(execFile);

/** What the sources need and an old compiler, or one without the headers of the C library, does not have. */
const probe = `#include <stdlib.h>
#include <string.h>
typedef float v4 __attribute__((vector_size(16)));
int main(void) {
  v4 a = {0};
  a = __builtin_shufflevector(a, a, 3, 2, 1, 0);
  return (int)a[0];
}
`;

/** The C compiler of this machine, or in words why it has none that builds the operator. */
export type OwnCompiler = { readonly compiler: Compiler; readonly name: string } | { readonly lacks: string };

/** What CC names, or cc. */
export const ownCompiler = async (
  named = process.env['CC'] ?? 'cc',
  { arch, platform }: { readonly arch: string; readonly platform: string } = process,
): Promise<OwnCompiler> => {
  if (platform !== 'linux' || !isOperatorArchitecture(arch))
    return { lacks: `it is not made for ${platform}-${arch}` };
  const [program = 'cc', ...first] = named.trim().split(/\s+/);
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-native-'));
  try {
    const source = join(folder, 'probe.c');
    await writeFile(source, probe);
    const newest = arch === 'x64' ? ['-march=x86-64-v4'] : [];
    await run(program, [...first, ...newest, source, '-o', join(folder, 'probe')]);
    return { compiler: { command: [program, ...first], architecture: arch }, name: named };
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? { lacks: `there is no C compiler ${program}` }
      : {
          lacks: `${named} cannot build it: GCC 12 or Clang 15 is needed, with the headers of the C library`,
        };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
