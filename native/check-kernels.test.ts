import { describe, expect, it } from 'vitest';
import { checkedBuilds, checkKernels, wantedCases } from './check-kernels.ts';
import { ownCompiler } from './own-compiler.ts';

const own = await ownCompiler();

describe('the kernels of the native operator (need a C compiler)', () => {
  it.skipIf('lacks' in own).each(checkedBuilds)(
    'give what float64 gives, on random shapes, %s',
    async (build) => {
      if ('lacks' in own) throw new Error(own.lacks);
      const wanted = wantedCases();
      const said = await checkKernels({ compiler: own.compiler, build, wanted });
      expect(said).toMatch(`${wanted.cases} random shapes from seed ${wanted.seed}, at `);
      // The best one of this processor, and plain.
      expect(said).toMatch(
        / plain; products: (none|dotprod|(vnni )?(avxvnni )?avx2( vnni256)?), digest \w{16}$/,
      );
    },
    300_000,
  );
});

describe('the compiler of this machine', () => {
  it('is told where there is none, or none that can build it', async () => {
    const here = { arch: 'x64', platform: 'linux' };
    expect(await ownCompiler('/nowhere/cc', here)).toEqual({
      lacks: 'there is no C compiler /nowhere/cc',
    });
    expect(await ownCompiler('false', here)).toEqual({
      lacks: expect.stringContaining('false cannot build it: GCC 12') as string,
    });
    expect(await ownCompiler('cc', { arch: 'riscv64', platform: 'linux' })).toEqual({
      lacks: 'it is not made for linux-riscv64',
    });
  });
});
