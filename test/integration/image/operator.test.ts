import { execFileSync, spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { architectureNames, architectures, ownArchitecture } from '../../../image/architecture.ts';
import { nativeOperator } from '../../../image/native-operator.ts';
import { wantedCases } from '../../../native/check-kernels.ts';
import { ownCompiler } from '../../../native/own-compiler.ts';
import { checkImageKernels } from '../../support/image-kernels.ts';

const hasReadelf = spawnSync('readelf', ['--version']).status === 0 && !('lacks' in (await ownCompiler()));

describe.skipIf(!hasReadelf).each(architectureNames)(
  'the native operator of the image for %s (needs readelf of binutils)',
  (name) => {
    let text = '';
    const all = (pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, found = '']) => found);
    beforeAll(async () => {
      const { file } = await nativeOperator(architectures[name]);
      text = execFileSync('readelf', ['--wide', '--file-header', '--dynamic', '--dyn-syms', file], {
        encoding: 'utf8',
      });
    }, 600_000);

    it('is a library of this architecture that has what the runtime and ONNX Runtime look for, and no more', () => {
      expect(all(/Machine: +(.*)/g)).toEqual([
        name === 'amd64' ? 'Advanced Micro Devices X86-64' : 'AArch64',
      ]);
      expect(all(/(?:FUNC|OBJECT) +GLOBAL +DEFAULT +\d+ (\S+)$/gm).toSorted()).toEqual([
        'AdaptletInstructionSet',
        'AdaptletOperatorVersion',
        'AdaptletPack',
        'AdaptletPackedBytes',
        'AdaptletProducts',
        'RegisterCustomOps',
      ]);
    });

    it('needs the C library alone, of a version that the image and ONNX Runtime have', () => {
      const loader = name === 'amd64' ? 'ld-linux-x86-64.so.2' : 'ld-linux-aarch64.so.1';
      const needed = all(/NEEDED.*\[(.*)\]/g).filter((library) => library !== loader);
      expect(needed.toSorted()).toEqual(['libc.so.6', 'libm.so.6']);
      const versions = all(/@GLIBC_2\.(\d+)/g).map(Number);
      expect(Math.max(...versions)).toBeLessThanOrEqual(28);
    });
  },
);

describe('the kernels of the image', () => {
  it('give what float64 gives, and the same bits in every tile, compiled by Zig for this machine', async () => {
    const own = ownArchitecture();
    if (own === undefined) throw new Error(`no image is made for ${process.arch}`);
    expect(await checkImageKernels(own, wantedCases())).toMatch(
      /random shapes from seed .* plain; products: (?:none|dotprod|(?:vnni )?(?:avxvnni )?avx2(?: vnni256)?), digest \w{16}$/,
    );
  }, 600_000);
});
