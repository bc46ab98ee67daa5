import type { Digest } from '../../api/names.ts';
import type { Artifacts } from '../../artifact/artifacts.ts';
import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { CompiledAdapter, Compiler } from '../compiled/compiled-adapter.ts';
import type { EngineClient } from '../engine/client/client.ts';
import { Mutex } from '../engine/mutex.ts';
import { refuseTask } from '../engine/tasks.ts';
import type { LabelScore } from '../routing/labelled.ts';
import type { SlowScorer, Turn } from './scorer.ts';
import { type Loaded, type StoredTable, whyLacking } from './tables.ts';

/** Milliseconds that a request waits for the encoder at most. */
export const answerMs = 100;

/** Bounds of what a head may cost every request that it is asked for: labels, and characters of each. */
const maxLabels = 1000;
const maxLabelLength = 63;

/** What is wrong with a compiled file, and not with its artifact. */
const unusable: ReadonlySet<string> = new Set(['COMPILED_FILE_CORRUPT', 'COMPILED_FILE_STALE']);

export type EncoderHeadsParts = {
  /** Of the encoder: another process than that of the base model. */
  readonly engine: Pick<
    EngineClient,
    'state' | 'failure' | 'info' | 'load' | 'unload' | 'encode' | 'onState'
  >;
  readonly compiler: Pick<Compiler, 'compile' | 'remove'>;
  readonly artifacts: Pick<Artifacts, 'folder' | 'verify'>;
  readonly clock: Pick<Clock, 'after'>;
  readonly log: Pick<Log, 'warn'>;
  /** Milliseconds that an answer is waited for. Default: {@link answerMs}. */
  readonly patienceMs?: number;
};

/** An adapter with a head, in the memory of the encoder. */
export type EncoderHead = Loaded & {
  /** In the encoder. Each load has one of its own: a former one may still be on its way out. */
  readonly name: string;
  readonly digest: Digest;
  readonly file: string;
  readonly labels: readonly string[];
};

/**
 * Adapters with classification heads in an encoder of their own.
 *
 * Guarantees: what is in the encoder is compiled for it from bytes that were verified; an encoder that ended has them again once
 * it is back, or `onLost` hears which it has not; compiled files are there for what is open; who asks waits for no longer than
 * `patienceMs`.
 */
export class EncoderHeads {
  readonly #parts: EncoderHeadsParts;
  readonly #open = new Set<EncoderHead>();
  /** What goes into the encoder, and out of it, in its order. */
  readonly #turns = new Mutex();
  readonly #stop: () => void;
  readonly #answers: Record<string, number> = {};
  #onLost: (head: EncoderHead, cause: unknown) => void = () => undefined;
  #onState: () => void = () => undefined;
  #givenUp: unknown;
  #names = 0;
  #asked = 0;

  constructor(parts: EncoderHeadsParts) {
    this.#parts = parts;
    this.#stop = parts.engine.onState((state) => {
      if (state === 'ready') for (const head of this.#open) void this.#turns.run(() => this.#comesBack(head));
      this.#onState();
    });
  }

  close(): void {
    this.#stop();
  }

  /** Who hears of heads that the encoder does not have any more, and cannot have again by itself. */
  onLost(listener: (head: EncoderHead, cause: unknown) => void): void {
    this.#onLost = listener;
  }

  /** Who hears that `trouble` may be another now. */
  onState(listener: () => void): void {
    this.#onState = listener;
  }

  /** The encoder is closed next, for this reason. */
  giveUp(cause: unknown): void {
    this.#givenUp = cause;
  }

  /** The encoder was given up: it is not tried again. */
  get isClosed(): boolean {
    return this.#parts.engine.state === 'closed';
  }

  /** Questions to heads by what became of them: OK, or the code of the error. Who left is not counted. */
  get answers(): Readonly<Record<string, number>> {
    return this.#answers;
  }

  /** Why the encoder answers nobody now, for people; undefined: it does. */
  get trouble(): string | undefined {
    const { state, failure = this.#givenUp } = this.#parts.engine;
    if (state === 'ready') return undefined;
    return `the encoder for classifiers is ${state}${failure === undefined ? '' : `: ${whyLacking(failure)}`}`;
  }

  /**
   * Compiles and loads an artifact that is on the disk.
   * @throws TASK_UNSUPPORTED, CLASSIFIER_MISSING, ROUTE_CLASSIFIER_INVALID, those of compiling and loading, the reason of the signal
   */
  async open(stored: StoredTable, signal: AbortSignal): Promise<EncoderHead> {
    await this.#ready(signal);
    return await this.#turns.run(() => this.#opened(stored, signal));
  }

  /** Takes it out of the encoder, and its compiled file off the disk. */
  drop(head: EncoderHead): void {
    this.#open.delete(head);
    void this.#turns.run(() => this.#leaves(head));
  }

  /** What gives scores of a head. */
  scorerOf({ name, labels }: EncoderHead): SlowScorer {
    return {
      labels,
      ask: async (text, { maxTokens, turn, signal }) => {
        const asked = this.#within(signal, (until) => this.#scores(name, text, { maxTokens, turn }, until));
        return await this.#counted(asked, signal);
      },
    };
  }

  async #counted<T>(asked: Promise<T>, signal: AbortSignal): Promise<T> {
    const count = (code: string): void => {
      this.#answers[code] = (this.#answers[code] ?? 0) + 1;
    };
    try {
      const answer = await asked;
      count('OK');
      return answer;
    } catch (error) {
      if (!signal.aborted) count(errorCodeOf(error) || 'INTERNAL');
      throw error;
    }
  }

  async #opened({ key, digest, fileBytes }: StoredTable, signal: AbortSignal): Promise<EncoderHead> {
    const { engine, compiler, artifacts } = this.#parts;
    const info = engine.info();
    if (info.task !== 'embed') throw refuseTask(info.task, 'embed');
    const folder = artifacts.folder(digest);
    const verify = (until: AbortSignal): Promise<void> => artifacts.verify(digest, until);
    const compiled = await compiler.compile({ digest, folder, bytes: fileBytes, verify }, info, signal);
    const { file, ramBytes: bytes } = compiled;
    this.#names += 1;
    const name = `${digest}-${this.#names}`;
    try {
      const labels = labelsOf(compiled, `classifier ${key}: ${digest}`);
      await engine.load(name, file);
      const head: EncoderHead = { name, digest, file, labels, bytes };
      this.#open.add(head);
      return head;
    } catch (error) {
      // Nobody drops what was not opened. It is made anew at the next try.
      if (unusable.has(errorCodeOf(error)) || !this.#hasOpen(digest)) await compiler.remove(digest);
      throw error;
    }
  }

  #hasOpen(digest: Digest): boolean {
    return [...this.#open].some((other) => other.digest === digest);
  }

  /** A process that begins has no head. One that has it already leaves it as it is. */
  async #comesBack(head: EncoderHead): Promise<void> {
    const { engine } = this.#parts;
    if (!this.#open.has(head) || engine.state !== 'ready') return;
    try {
      await engine.load(head.name, head.file);
    } catch (error) {
      // One that ended again begins again.
      if (engine.state !== 'ready' || !this.#open.delete(head)) return;
      this.#onLost(head, error);
    }
  }

  async #leaves({ name, digest }: EncoderHead): Promise<void> {
    const { engine, compiler, log } = this.#parts;
    try {
      await engine.unload(name).catch(unlessGone);
      if (!this.#hasOpen(digest)) await compiler.remove(digest);
    } catch (error) {
      log.warn({ name, err: error }, 'the head of a classifier could not be removed');
    }
  }

  async #scores(
    engineName: string,
    text: string,
    { maxTokens, turn }: { readonly maxTokens: number; readonly turn: Turn },
    signal: AbortSignal,
  ): Promise<readonly LabelScore[]> {
    this.#asked += 1;
    const result = await this.#parts.engine.encode(
      {
        requestId: `classifier-${this.#asked}`,
        engineName,
        texts: [{ kind: 'text', text }],
        output: 'classification',
        maxTokens,
        ...turn,
      },
      signal,
    );
    if (result.kind !== 'classification')
      throw new AdaptletError('INTERNAL', 'a classification was asked for, embeddings came');
    const probabilities = result.rows[0]?.probabilities ?? [];
    // Those of a regression are none.
    if (!probabilities.every((one) => one >= 0 && one <= 1))
      throw new AdaptletError('ROUTE_CLASSIFIER_INVALID', 'its head gives values that are no probabilities', {
        advice: otherAdapter,
      });
    return result.labels.map((label, index) => ({ label, score: probabilities[index] ?? 0 }));
  }

  /** @throws DEADLINE_EXCEEDED, the reason of the signal, those of `ask` */
  async #within<T>(signal: AbortSignal, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, patienceMs = answerMs } = this.#parts;
    const late = new AbortController();
    const stop = clock.after(patienceMs, () =>
      late.abort(
        new AdaptletError('DEADLINE_EXCEEDED', `the encoder did not answer within ${patienceMs} ms`),
      ),
    );
    try {
      return await ask(AbortSignal.any([signal, late.signal]));
    } catch (error) {
      throw late.signal.aborted ? late.signal.reason : error;
    } finally {
      stop();
    }
  }

  async #ready(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { engine } = this.#parts;
    if (engine.state === 'ready') return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (): void => reject(signal.reason);
    const stop = engine.onState((state) => {
      if (state === 'ready') resolve();
    });
    signal.addEventListener('abort', leave, { once: true });
    try {
      await promise;
    } finally {
      stop();
      signal.removeEventListener('abort', leave);
    }
  }
}

/** A process that is down has no heads, and one that began since may not have this one yet. */
const unlessGone = (error: unknown): void => {
  const code = errorCodeOf(error);
  if (code !== 'ENGINE_DOWN' && code !== 'ADAPTER_NOT_AVAILABLE') throw error;
};

const otherAdapter = 'Give the route an adapter that was trained for sequence classification.';

/** @throws CLASSIFIER_MISSING, ROUTE_CLASSIFIER_INVALID */
const labelsOf = ({ labels, activation }: CompiledAdapter, what: string): readonly string[] => {
  if (labels === undefined)
    throw new AdaptletError('CLASSIFIER_MISSING', `${what} has no classification head`, {
      advice: otherAdapter,
    });
  if (activation === 'none')
    throw new AdaptletError(
      'ROUTE_CLASSIFIER_INVALID',
      `${what} has a head for a regression, which gives no probabilities`,
      { advice: otherAdapter },
    );
  if (labels.length > maxLabels || labels.some(({ length }) => length === 0 || length > maxLabelLength))
    throw new AdaptletError(
      'ROUTE_CLASSIFIER_INVALID',
      `${what} has ${labels.length} labels: at most ${maxLabels} are taken, of 1 to ${maxLabelLength} characters each`,
      { advice: 'Train it for fewer labels, or give them shorter names in labels.json.' },
    );
  return labels;
};

/** Why there is no answer to a request, for people. */
export const whyNot = (error: unknown): string =>
  error instanceof AdaptletError ? `${error.code}: ${error.what}` : String(error);
