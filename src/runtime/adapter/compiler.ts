import { Piscina } from 'piscina';
import { type Settled, unsettle } from '../../errors/across-threads.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Log } from '../../telemetry/log.ts';
import type { CompileTarget } from '../compiled/compile-target.ts';
import type { CompiledAdapter, Compiler } from '../compiled/compiled-adapter.ts';
import type { CompiledFolder } from '../compiled/compiled-folder.ts';
import type { NeededRoom } from './compile.ts';
import type { CompileTask, SignOfLife } from './compile-worker.ts';

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
  const pool = new Piscina<CompileTask, Settled<CompiledAdapter | NeededRoom>>({
    filename: new URL('./compile-worker.ts', import.meta.url).href,
    minThreads: 0,
    maxThreads: workers,
    idleTimeout: idleMs,
  });
  const listeners = new Map<string, () => void>();
  pool.on('message', ({ outFile }: SignOfLife) => listeners.get(outFile)?.());
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
    async compile({ digest, folder, bytes, verify, alive, onReserved, makeRoom }, target, signal) {
      signal.throwIfAborted();
      const { sites, baseDigest, engineVersion, weights, encoder } = target;
      await dropStale(target);
      const present = await compiled.reusable(digest, target, maxRank);
      if (present !== undefined) return present;
      // Of what was there others may have thought that no room is needed.
      await makeRoom?.(bytes);
      await verify(signal);
      const input = {
        folder,
        digest,
        target: { sites, baseDigest, engineVersion, weights, ...(encoder === undefined ? {} : { encoder }) },
        outFile: compiled.fileOf(digest, target),
        maxRank,
      };
      if (alive !== undefined) listeners.set(input.outFile, alive);
      const make = async (roomBytes: number): Promise<CompiledAdapter | NeededRoom> => {
        using room = await compiled.reserve(roomBytes, digest);
        onReserved?.();
        const made = unsettle(await pool.run({ ...input, roomBytes }, { signal }));
        if ('file' in made) compiled.written(made, room);
        return made;
      };
      try {
        const usual = await make(bytes);
        if ('file' in usual) return usual;
        // Nothing but headers was read for that.
        const { neededBytes } = usual;
        await makeRoom?.(neededBytes);
        const made = await make(neededBytes);
        if ('file' in made) return made;
      } catch (error) {
        if (!signal.aborted) throw error;
        // The thread was stopped in the middle of its work.
        await compiled.dropTemporaries(digest);
        throw signal.reason;
      } finally {
        listeners.delete(input.outFile);
      }
      throw new AdaptletError('ADAPTER_FILE_TRUNCATED', `${folder} changed while it was compiled`);
    },
    remove: (digest) => compiled.remove(digest),
    bytesOf: (digest) => compiled.bytesOf(digest),
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
};
