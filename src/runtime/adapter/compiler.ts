import { Piscina } from 'piscina';
import { type Settled, unsettle } from '../../errors/across-threads.ts';
import type { Log } from '../../telemetry/log.ts';
import type { CompileTarget } from '../compiled/compile-target.ts';
import type { CompiledAdapter, Compiler } from '../compiled/compiled-adapter.ts';
import type { CompiledFolder } from '../compiled/compiled-folder.ts';
import type { CompileInput } from './compile.ts';

export type CompilerOptions = {
  readonly folder: CompiledFolder;
  /** Threads that compile. They end after being idle for a while. */
  readonly workers: number;
  /** The largest rank that is accepted. */
  readonly maxRank: number;
  readonly log: Pick<Log, 'info' | 'warn'>;
};

/** Idle threads cost memory on a small node; starting one takes some tens of milliseconds. */
const idleMs = 10_000;

/**
 * Compiles adapters on a pool of threads and keeps the files.
 *
 * Guarantees: nothing is read, converted or written on the calling thread but the header of a file that is reused.
 * A kill at any time leaves no torn file under a final name; left temporary files are deleted at the next start. Room for a file
 * is set aside before it is written. What was made for another base model or engine goes with the first compile.
 */
export const createCompiler = (options: CompilerOptions): Compiler & AsyncDisposable => {
  const { folder: compiled, workers, maxRank, log } = options;
  const pool = new Piscina<CompileInput, Settled<CompiledAdapter>>({
    filename: new URL('./compile-worker.ts', import.meta.url).href,
    minThreads: 0,
    maxThreads: workers,
    idleTimeout: idleMs,
  });
  let cleanFor = '';
  const dropStale = async (target: CompileTarget): Promise<void> => {
    const what = `${target.baseDigest} ${target.engineVersion}`;
    if (cleanFor === what) return;
    try {
      const files = await compiled.removeStale(target);
      cleanFor = what;
      if (files > 0) log.info({ files }, 'compiled files of another base model or engine were removed');
    } catch (error) {
      log.warn({ err: error }, 'compiled files of another base model or engine could not be removed');
    }
  };
  return {
    async compile({ digest, folder, bytes, verify }, target, signal) {
      signal.throwIfAborted();
      const { sites, baseDigest, engineVersion, weights, encoder } = target;
      await dropStale(target);
      const present = await compiled.reusable(digest, target, maxRank);
      if (present !== undefined) return present;
      await verify(signal);
      using room = await compiled.reserve(bytes, digest);
      const input = {
        folder,
        digest,
        target: { sites, baseDigest, engineVersion, weights, ...(encoder === undefined ? {} : { encoder }) },
        outFile: compiled.fileOf(digest, target),
        maxRank,
      };
      try {
        const made = unsettle(await pool.run(input, { signal }));
        compiled.written(made, room);
        return made;
      } catch (error) {
        if (!signal.aborted) throw error;
        // The thread was stopped in the middle of its work.
        await compiled.dropTemporaries(digest);
        throw signal.reason;
      }
    },
    remove: (digest) => compiled.remove(digest),
    bytesOf: (digest) => compiled.bytesOf(digest),
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
};
