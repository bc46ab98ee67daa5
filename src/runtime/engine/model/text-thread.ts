import { statSync } from 'node:fs';
import { Piscina } from 'piscina';
import { type Settled, unsettle } from '../../../errors/across-threads.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Prompt } from '../engine.ts';
import type { ModelFolder } from './folder.ts';
import type { EncodedPrompt, TextTask } from './text-worker.ts';
import type { EncodedInput } from './tokenizer.ts';

/** Characters of texts that wait: a queue of the longest bodies would take gigabytes. */
const maxWaiting = 8 << 20;
/** Memory of the thread beside its tokenizer, which takes about 16 times its file. */
const textMegabytes = 512;
const tokenizerTimes = 16;
/** The longest prompt of the largest context takes a tenth of it. */
const limitMs = 10_000;
/** Starting it costs some hundred milliseconds, and having it the memory of a tokenizer. */
const idleMs = 300_000;
/** Milliseconds after which a refused request may find room. */
const retryAfterMs = 1000;

type Job = {
  readonly task: TextTask;
  readonly characters: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
};

export type TextThreadParts = {
  readonly model: ModelFolder;
  readonly vocabSize: number;
  readonly clock: Pick<Clock, 'after'>;
  /** Memory of the thread beside its tokenizer. Absent: 512. */
  readonly megabytes?: number;
};

/**
 * Makes tokens of long texts on a thread of its own, one text at a time, the shortest of those that wait first.
 *
 * Guarantees: no text takes more than its time and memory: one that would is refused, the thread that it had ends and
 * the next text gets another. What waits is bounded.
 */
export class TextThread {
  readonly #parts: TextThreadParts;
  readonly #pool: Piscina<TextTask, Settled<unknown>>;
  readonly #waiting: Job[] = [];
  #running = false;

  constructor(parts: TextThreadParts) {
    this.#parts = parts;
    const { megabytes = textMegabytes } = parts;
    const tokenizer = (statSync(parts.model.tokenizer).size * tokenizerTimes) / 2 ** 20;
    this.#pool = new Piscina({
      filename: new URL('./text-worker.ts', import.meta.url).href,
      minThreads: 0,
      maxThreads: 1,
      idleTimeout: idleMs,
      resourceLimits: { maxOldGenerationSizeMb: Math.ceil(megabytes + tokenizer) },
    });
  }

  /**
   * Tokens of a prompt; where they are more than `most`, how many.
   * @throws REQUEST_INVALID, PROMPT_TOO_LONG, QUEUE_FULL; the signal's reason
   */
  async encode(prompt: Prompt, most: number, signal: AbortSignal): Promise<EncodedPrompt> {
    const result = await this.#run({ kind: 'prompt', prompt, most }, charactersOf(prompt), signal);
    return result as EncodedPrompt;
  }

  /** As `TextCodec.encodeInput`. */
  async encodeInput(text: string, limit: number, signal: AbortSignal): Promise<EncodedInput> {
    return (await this.#run({ kind: 'input', text, limit }, text.length, signal)) as EncodedInput;
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  #run(
    asked: DistributiveOmit<TextTask, 'modelDir' | 'vocabSize'>,
    characters: number,
    signal: AbortSignal,
  ): Promise<unknown> {
    const { model, vocabSize } = this.#parts;
    const waiting = this.#waiting.reduce((sum, job) => sum + job.characters, 0);
    if (waiting > 0 && waiting + characters > maxWaiting) {
      const what = `${this.#waiting.length} texts of ${waiting} characters wait to be turned into tokens`;
      throw new AdaptletError('QUEUE_FULL', what, { retryAfterMs });
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const job = { task: { ...asked, modelDir: model.folder, vocabSize }, characters, resolve, reject };
    // Whoever leaves while it runs does not take the thread along: it ends soon, and the next one needs it.
    const leave = (): void => {
      const place = this.#waiting.indexOf(job);
      if (place >= 0) this.#waiting.splice(place, 1);
      reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    this.#waiting.push(job);
    this.#waiting.sort((a, b) => a.characters - b.characters);
    // It reports through the job.
    void this.#next();
    return promise;
  }

  async #next(): Promise<void> {
    if (this.#running) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    this.#running = true;
    await this.#do(job);
    this.#running = false;
    void this.#next();
  }

  async #do({ task, characters, resolve, reject }: Job): Promise<void> {
    const late = new AbortController();
    const cancel = this.#parts.clock.after(limitMs, () => {
      late.abort();
    });
    try {
      resolve(unsettle(await this.#pool.run(task, { signal: late.signal })));
    } catch (error) {
      reject(late.signal.aborted || isOutOfMemory(error) ? tooMuch(characters, error) : error);
    } finally {
      cancel();
    }
  }
}

/** Characters of a prompt, and of a conversation what its messages cost besides. */
export const charactersOf = (prompt: Prompt): number => {
  if (prompt.kind === 'ids') return 0;
  if (prompt.kind === 'text') return prompt.text.length;
  return prompt.messages.reduce((sum, { role, content }) => sum + role.length + content.length + 16, 0);
};

const isOutOfMemory = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY';

const tooMuch = (characters: number, cause: unknown): AdaptletError =>
  new AdaptletError(
    'PROMPT_TOO_LONG',
    `A text of ${characters} characters took too much time or memory to be turned into tokens`,
    { advice: 'Shorten the text, or send its tokens.', cause },
  );

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
