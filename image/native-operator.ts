import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  buildOperator,
  type Compiler,
  operatorFile,
  operatorSources,
  type Target,
} from '../native/build-operator.ts';
import type { Architecture } from './architecture.ts';
import { cachedFolder, cacheFolder, sha256 } from './materials/cache.ts';
import { type Zig, zig } from './materials/zig.ts';

/** The oldest C library that has all of it; the image has a newer one. */
const glibc = '2.28';

/** The native operator for one architecture, with what it is made of. */
export type NativeOperator = {
  readonly file: string;
  /** Hexadecimal, as those of the sources. */
  readonly sha256: string;
  readonly sources: readonly { readonly name: string; readonly sha256: string }[];
  readonly zig: Zig;
};

/** Zig has names of its own for processors, and takes features behind them. */
const zigTarget = ({ base, feature }: Target): readonly string[] => {
  const cpu = base === 'armv8.2-a' ? 'generic' : base.replaceAll('-', '_');
  return [`-mcpu=${cpu}${feature === undefined ? '' : `+${feature}`}`];
};

/** Zig's compiler for any architecture, on any machine. It keeps what it compiles, by all that went into it. */
export const zigCompiler = ({ npm, triplet }: Architecture, { program }: Zig): Compiler => {
  const kept = cacheFolder('zig');
  return {
    command: [program, 'cc', '-target', `${triplet}.${glibc}`],
    architecture: npm,
    target: zigTarget,
    environment: { ZIG_GLOBAL_CACHE_DIR: kept, ZIG_LOCAL_CACHE_DIR: kept },
  };
};

const sourcesOf = async (): Promise<NativeOperator['sources']> => {
  const names = (await readdir(operatorSources)).filter(
    (name) => /\.[ch]$/.test(name) && !name.startsWith('check'),
  );
  return Promise.all(
    [...names, 'build-operator.ts'].toSorted().map(async (name) => ({
      name: `native/${name}`,
      sha256: sha256(await readFile(join(operatorSources, name))),
    })),
  );
};

/**
 * Compiles it, once for equal sources and compilers. Equal ones give equal bytes.
 * @throws no Zig; what the compiler says
 */
export const nativeOperator = async (architecture: Architecture): Promise<NativeOperator> => {
  const [compiler, sources] = await Promise.all([zig(), sourcesOf()]);
  const key = sha256(JSON.stringify([sources, compiler.sha256, architecture.triplet, glibc])).slice(0, 32);
  const folder = await cachedFolder(join(cacheFolder('native'), key), (draft) =>
    buildOperator({ compiler: zigCompiler(architecture, compiler), out: join(draft, operatorFile) }),
  );
  const file = join(folder, operatorFile);
  return { file, sha256: sha256(await readFile(file)), sources, zig: compiler };
};
