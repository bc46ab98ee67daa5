import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Piscina } from 'piscina';
import type { Digest } from '../../api/names.ts';
import { type Settled, unsettle } from '../../errors/across-threads.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { errnoOf } from '../../errors/errno.ts';
import type { CompileTarget } from '../compiled/compile-target.ts';
import { type CompiledAdapter, type Compiler, compiledFrom } from '../compiled/compiled-adapter.ts';
import { readCompiledHeader } from '../compiled/read-header.ts';
import type { CompileInput } from './compile.ts';

export type CompilerOptions = {
  /** Folder of the compiled files: a cache, which may be emptied whenever nothing is loaded from it. */
  readonly dir: string;
  /** Threads that compile. They end after being idle for a while. */
  readonly workers: number;
  /** The largest rank that is accepted. */
  readonly maxRank: number;
};

const suffix = '.adaptlet';
/** Idle threads cost memory on a small node; starting one takes some tens of milliseconds. */
const idleMs = 10_000;

const hex = (digest: Digest): string => digest.slice('sha256:'.length);

/** One name per adapter, base and engine version; the digest in front, so that all files of an adapter are found. */
const fileName = (digest: Digest, target: CompileTarget): string => {
  const version = createHash('sha256').update(target.engineVersion).digest('hex');
  return `${hex(digest)}-${hex(target.baseDigest).slice(0, 16)}-${version.slice(0, 8)}${suffix}`;
};

/** The file that is there, when it is intact and for exactly this use; a torn or foreign one is deleted. */
const reusable = async (input: CompileInput): Promise<CompiledAdapter | undefined> => {
  try {
    const header = await readCompiledHeader(input.outFile);
    const fits =
      header.adapterDigest === input.digest &&
      header.baseDigest === input.target.baseDigest &&
      header.engineVersion === input.target.engineVersion &&
      header.rank <= input.maxRank;
    if (fits) {
      return compiledFrom(input.outFile, header, input.target.weights);
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    if (!(error instanceof AdaptletError)) throw error;
  }
  await rm(input.outFile, { force: true });
  return undefined;
};

const removeTemporaries = async (dir: string, name: string): Promise<void> => {
  const left = (await readdir(dir)).filter((entry) => entry.startsWith(`${name}.`) && entry.endsWith('.tmp'));
  await Promise.all(left.map((entry) => rm(join(dir, entry), { force: true })));
};

/**
 * Compiles adapters on a pool of threads and keeps the files.
 *
 * Guarantees: nothing is read, converted or written on the calling thread but the header of a file that is reused.
 * A kill at any time leaves no torn file under a final name; left temporary files are deleted at the next start.
 * Assumes: one process owns `dir`.
 */
export const createCompiler = (options: CompilerOptions): Compiler & AsyncDisposable => {
  const { dir, workers, maxRank } = options;
  mkdirSync(dir, { recursive: true });
  for (const name of readdirSync(dir)) {
    if (name.endsWith('.tmp')) rmSync(join(dir, name), { force: true });
  }
  const pool = new Piscina<CompileInput, Settled<CompiledAdapter>>({
    filename: new URL('./compile-worker.ts', import.meta.url).href,
    minThreads: 0,
    maxThreads: workers,
    idleTimeout: idleMs,
  });
  return {
    async compile({ digest, folder, verify }, target, signal) {
      signal.throwIfAborted();
      const { sites, baseDigest, engineVersion, weights, encoder } = target;
      const outFile = join(dir, fileName(digest, target));
      const input = {
        folder,
        digest,
        target: { sites, baseDigest, engineVersion, weights, ...(encoder === undefined ? {} : { encoder }) },
        outFile,
        maxRank,
      };
      const present = await reusable(input);
      if (present !== undefined) return present;
      await verify(signal);
      try {
        return unsettle(await pool.run(input, { signal }));
      } catch (error) {
        if (!signal.aborted) throw error;
        // The thread was stopped in the middle of its work.
        await removeTemporaries(dir, fileName(digest, target));
        throw signal.reason;
      }
    },
    async remove(digest) {
      const names = (await readdir(dir)).filter((name) => name.startsWith(`${hex(digest)}-`));
      await Promise.all(names.map((name) => rm(join(dir, name), { force: true })));
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
};
