import { Piscina } from 'piscina';
import { type Settled, unsettle } from '../../../errors/across-threads.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Structure } from '../engine.ts';
import { TextQueue, type Waiting } from '../model/text-queue.ts';
import type { WebAssemblyModule } from '../web-assembly.ts';
import type { CompileTask } from './compile-worker.ts';
import { readModule } from './instance.ts';
import type { VocabularyOf } from './vocabulary.ts';

/** Structures that wait. */
const maxWaiting = 64;
/** Memory of the thread's own heap: the vocabulary while it is read. What a structure takes is the module's. */
const heapMegabytes = 512;
/** The vocabulary takes half a second, the first time. */
const usualLimits = { firstMs: 20_000, ms: 5_000 } as const;
/** Starting it costs some hundred milliseconds, and having it the memory of a vocabulary. */
const idleMs = 300_000;
/** On Linux, of the thread: of a core that steps keep busy it gets a tenth. */
const niceIncrement = 10;
/** Milliseconds after which a refused request may find room. */
const retryAfterMs = 1000;

/** The module, and the memory of an instance of it that has a grammar. */
export type Compiled = { readonly module: WebAssemblyModule; readonly memory: Uint8Array };

type Job = Waiting & {
  readonly structure: Structure;
  readonly resolve: (compiled: Compiled) => void;
  readonly reject: (error: unknown) => void;
};

export type CompileThreadParts = {
  readonly of: VocabularyOf;
  readonly clock: Pick<Clock, 'after'>;
  /** Milliseconds for the first one of a thread, and for one. Absent: 20 s, and 5 s. */
  readonly limits?: { readonly firstMs: number; readonly ms: number };
};

/**
 * Compiles structures on a thread of its own, one at a time, in the turns of {@link TextQueue}.
 *
 * Guarantees: none takes more than its time and memory: one that would is refused, and the thread that it had ends. What waits is
 * bounded; whoever has most waiting is refused first.
 */
export class CompileThread {
  readonly #parts: CompileThreadParts;
  readonly #pool: Piscina<CompileTask, Settled<Uint8Array>>;
  /** Read once: what a thread compiles has to be of the module of all instances, also where its file is another one meanwhile. */
  #module: WebAssemblyModule | undefined;
  readonly #waiting = new TextQueue<Job>();
  #running = false;
  /** The thread has the vocabulary. */
  #warm = false;

  constructor(parts: CompileThreadParts) {
    this.#parts = parts;
    this.#pool = new Piscina({
      filename: new URL('./compile-worker.ts', import.meta.url).href,
      minThreads: 0,
      maxThreads: 1,
      idleTimeout: idleMs,
      niceIncrement,
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
    });
  }

  /** @throws STRUCTURE_UNSUPPORTED, STRUCTURE_TOO_COMPLEX, STRUCTURE_NOT_AVAILABLE, QUEUE_FULL */
  async compile(
    structure: Structure,
    whose: { readonly namespace: string; readonly tenant: string },
  ): Promise<Compiled> {
    const { promise, resolve, reject } = Promise.withResolvers<Compiled>();
    this.#waiting.push({ structure, ...whose, characters: structure.source.length, resolve, reject });
    // It reports through the job.
    void this.#next();
    if (this.#waiting.length > maxWaiting) this.#turnAway();
    return await promise;
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  /** Of a full queue those go that have most in it. */
  #turnAway(): void {
    const job = this.#waiting.mostDispensable;
    if (job === undefined) return;
    this.#waiting.remove(job);
    job.reject(
      new AdaptletError('QUEUE_FULL', `${maxWaiting} structures wait to be compiled`, { retryAfterMs }),
    );
  }

  async #next(): Promise<void> {
    if (this.#running) return;
    const job = this.#waiting.next();
    if (job === undefined) return;
    this.#running = true;
    await this.#do(job);
    this.#running = false;
    void this.#next();
  }

  async #do({ structure, resolve, reject }: Job): Promise<void> {
    const late = new AbortController();
    // After a while without work the pool may have ended the thread: who comes next has the time of the first.
    const isWarm = this.#warm && this.#pool.threads.length > 0;
    const { limits = usualLimits } = this.#parts;
    const ms = isWarm ? limits.ms : limits.firstMs;
    const cancel = this.#parts.clock.after(ms, () => {
      late.abort();
    });
    try {
      const module = (this.#module ??= await readModule());
      const task = { ...this.#parts.of, module, structure };
      resolve({ module, memory: unsettle(await this.#pool.run(task, { signal: late.signal })) });
      this.#warm = true;
    } catch (error) {
      if (late.signal.aborted) this.#warm = false;
      reject(late.signal.aborted ? tooLong(ms, error) : error);
    } finally {
      cancel();
    }
  }
}

/** On a busy machine another time may be better. */
const tooLong = (ms: number, cause: unknown): AdaptletError =>
  new AdaptletError('STRUCTURE_TOO_COMPLEX', `it was not compiled within ${ms / 1000} s`, {
    retryAfterMs,
    cause,
  });
