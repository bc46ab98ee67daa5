import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Instance } from './instance.ts';
import type { TokenMask } from './token-mask.ts';

/**
 * Bytes that the memory of a grammar may grow by from answer to answer, beyond what it was compiled to. All of its answers share 20,000
 * states of the lexer, which take 15 MiB or more: the next answer has most of them for itself.
 */
const growth = 4 << 20;

/**
 * Fewer tokens that can only follow come one by one, each the only one of its mask: a step of their own would keep the rows of others
 * waiting, and with ONNX Runtime's attention rounds differently in int4.
 */
const leastForced = 4;

/** Who keeps a grammar is told that its memory grew, and that no answer uses it any more. */
export type GrammarKeeper = { grew(): void; unused(): void };

const nobody: GrammarKeeper = { grew: () => undefined, unused: () => undefined };

/** A compiled structure: what answers in it may be. Matchers of one grammar share what they find out of it. */
export class Grammar {
  readonly #instance: Instance;
  readonly #compiledBytes: number;
  readonly #keeper: GrammarKeeper;
  #knownBytes: number;
  #users = 0;
  #failed = false;
  #isStopped = false;
  #isGone = false;
  #isNew = true;

  /** `instance`: which has the compiled grammar, and is its own. */
  constructor(instance: Instance, keeper: GrammarKeeper = nobody) {
    this.#instance = instance;
    this.#compiledBytes = instance.bytes;
    this.#knownBytes = instance.bytes;
    this.#keeper = keeper;
  }

  /** Its instance, for another grammar: once, and not where it trapped, or was stopped, or grew large. No answer may use this one, and none can from then on. */
  giveUp(): Instance | undefined {
    if (this.isUsed || this.#isGone || this.#isStopped || this.#instance.isBroken) return undefined;
    if (this.grownBytes > growth) return undefined;
    this.#isGone = true;
    return this.#instance;
  }

  get bytes(): number {
    return this.#instance.bytes;
  }

  /** Of them, what answers found out since it was compiled. */
  get grownBytes(): number {
    return this.bytes - this.#compiledBytes;
  }

  /** True while answers use it, and before the first one does. */
  get isUsed(): boolean {
    return this.#users > 0 || this.#isNew;
  }

  /** False once new answers must have it compiled again: it failed, or found out so much that it is large, or gave its instance up. */
  get isGood(): boolean {
    return !this.#failed && !this.#isStopped && !this.#isGone && this.grownBytes <= growth;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Its memory is needed: its answers fail where they ask for their next token. */
  stop(): void {
    this.#isStopped = true;
    // No answer begins any more.
    this.#isNew = false;
  }

  /** `forces`: what can only follow comes at once, without a step for each token. */
  begin(forces: boolean): TokenMask {
    if (this.#isGone) throw new AdaptletError('INTERNAL', 'the grammar gave its instance up');
    this.#isNew = false;
    this.#users += 1;
    const handle = this.#begun();
    let isOver = false;
    let released = false;
    return {
      get isOver() {
        return isOver;
      },
      mask: () => this.#ask(() => this.#instance.mask(handle)),
      took: (id) => {
        const taken = this.#ask(() => this.#instance.take(handle, id, forces ? leastForced : 0));
        isOver = taken.isOver;
        return taken.forced;
      },
      release: () => {
        if (released) return;
        released = true;
        try {
          this.#try(() => this.#instance.end(handle));
        } finally {
          this.#left();
        }
      },
    };
  }

  #begun(): number {
    try {
      return this.#ask(() => this.#instance.begin());
    } catch (error) {
      this.#left();
      throw error;
    }
  }

  #left(): void {
    this.#users -= 1;
    if (!this.isUsed) this.#keeper.unused();
  }

  #ask<T>(call: () => T): T {
    if (this.#isStopped)
      throw new AdaptletError('STRUCTURE_TOO_COMPLEX', 'it takes more memory than others leave for it', {
        retryAfterMs: 1000,
        advice: 'Send it again later, or raise --structure-memory of the node.',
      });
    const told = this.#try(call);
    if (this.bytes > this.#knownBytes) {
      this.#knownBytes = this.bytes;
      this.#keeper.grew();
    }
    return told;
  }

  #try<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }
}
