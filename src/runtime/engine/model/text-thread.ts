import { statSync } from 'node:fs';
import { Piscina } from 'piscina';
import { type Settled, unsettle } from '../../../errors/across-threads.ts';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Prompt } from '../engine.ts';
import { chatTexts } from './chat-input.ts';
import type { ModelFolder } from './folder.ts';
import { TextQueue, type Waiting } from './text-queue.ts';
import type { EncodedPrompt, TextTask } from './text-worker.ts';
import type { EncodedInput } from './tokenizer.ts';
import type { WordTokens } from './word-tokens.ts';

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

type Job = Waiting & {
  readonly task: TextTask;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
};

/** Whose text it is, and whether it is still wanted. */
export type Caller = {
  /** Absent: the one without a name. */
  readonly namespace?: string;
  readonly tenant: string;
  readonly signal: AbortSignal;
};

export type TextThreadParts = {
  readonly model: ModelFolder;
  readonly vocabSize: number;
  readonly clock: Pick<Clock, 'after'>;
  /** Memory of the thread beside its tokenizer. Absent: 512. */
  readonly megabytes?: number;
};

/**
 * Makes tokens of long texts on a thread of its own, one text at a time ({@link TextQueue}).
 *
 * Guarantees: no text takes more than its time and memory: one that would is refused, the thread that it had ends and
 * the next text gets another. What waits is bounded.
 */
export class TextThread {
  readonly #parts: TextThreadParts;
  readonly #pool: Piscina<TextTask, Settled<unknown>>;
  readonly #waiting = new TextQueue<Job>();
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
  async encode(prompt: Prompt, most: number, { namespace, tenant, signal }: Caller): Promise<EncodedPrompt> {
    const waiting = { namespace, tenant, characters: charactersOf(prompt) };
    return (await this.#run({ kind: 'prompt', prompt, most }, waiting, signal)) as EncodedPrompt;
  }

  /** As `TextCodec.encodeInput`. */
  async encodeInput(
    text: string,
    limit: number,
    { namespace, tenant, signal }: Caller,
  ): Promise<EncodedInput> {
    const waiting = { namespace, tenant, characters: text.length };
    return (await this.#run({ kind: 'input', text, limit }, waiting, signal)) as EncodedInput;
  }

  /** Tokens of words. `characters`: what they count as. @throws QUEUE_FULL; the signal's reason */
  async encodeWords(
    words: readonly string[],
    characters: number,
    { namespace, tenant, signal }: Caller,
  ): Promise<WordTokens> {
    const waiting = { namespace, tenant, characters };
    return (await this.#run({ kind: 'words', words }, waiting, signal)) as WordTokens;
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  #run(
    asked: DistributiveOmit<TextTask, 'model' | 'vocabSize'>,
    waiting: Waiting,
    signal: AbortSignal,
  ): Promise<unknown> {
    signal.throwIfAborted();
    const { model, vocabSize } = this.#parts;
    const { length, characters } = this.#waiting;
    if (length > 0 && characters + waiting.characters > maxWaiting) {
      const what = `${length} texts of ${characters} characters wait to be turned into tokens`;
      throw new AdaptletError('QUEUE_FULL', what, { retryAfterMs });
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const job = { task: { ...asked, model, vocabSize }, ...waiting, resolve, reject };
    // Whoever leaves while it runs does not take the thread along: it ends soon, and the next one needs it.
    const leave = (): void => {
      this.#waiting.remove(job);
      reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    this.#waiting.push(job);
    // It reports through the job.
    void this.#next();
    return promise;
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
  const roles = prompt.messages.reduce((sum, { role }) => sum + role.length + 16, 0);
  return chatTexts(prompt).reduce((sum, text) => sum + text.length, roles);
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
