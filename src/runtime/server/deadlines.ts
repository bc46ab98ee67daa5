import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Clock } from '../../time/clock.ts';

/** Milliseconds; 0: as long as it takes. */
export type Timeouts = {
  /** From the arrival of a request to its first token, or to its answer where that comes at once. */
  readonly firstTokenMs: number;
  /** From one token to the next, while the answer's reader waits for it. */
  readonly tokenMs: number;
  /** For the whole answer. */
  readonly requestMs: number;
};

type Parts = {
  readonly clock: Clock;
  readonly timeouts: Timeouts;
  readonly method: string;
  /** Milliseconds that are left, when the client gave a deadline. */
  readonly clientMs: number | undefined;
  /** Called once a deadline passes. */
  readonly passed: (error: AdaptletError) => void;
};

const nothing = (): void => undefined;

/**
 * When a request has taken too long. A deadline that the client gave takes the place of those for the first token and for
 * the whole answer: it knows how long it waits.
 *
 * Guarantees: after `stop` no timer is left. An answer that makes progress ends by a deadline only where one for the whole was
 * asked for, by a setting or by the client.
 */
export class Deadlines {
  readonly #parts: Parts;
  readonly #stopWhole: () => void;
  #stopWait: () => void;
  #tokens = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { clientMs, timeouts, method } = parts;
    if (clientMs === undefined) {
      this.#stopWhole = this.#after(
        timeouts.requestMs,
        (ms) => `${method} was not answered within ${ms} ms (--request-timeout)`,
        'Ask for fewer tokens, or allow more time for the whole answer with --request-timeout; 0 is no limit.',
      );
      this.#stopWait = this.#after(
        timeouts.firstTokenMs,
        (ms) => `${method} had no answer after ${ms} ms (--first-token-timeout)`,
        'Send it again when fewer requests wait, preload the adapter, or raise --first-token-timeout.',
      );
      return;
    }
    this.#stopWait = nothing;
    this.#stopWhole = parts.clock.after(Math.max(0, clientMs), () => {
      this.#pass(`${method} was not answered within the ${Math.round(clientMs)} ms that its client gave it`);
    });
  }

  /** The next token is waited for; the result is to be called when it came. */
  awaitToken(): () => void {
    if (this.#tokens > 0) {
      const { method, timeouts } = this.#parts;
      this.#stopWait = this.#after(
        timeouts.tokenMs,
        (ms) => `${method} had no token for ${ms} ms after its first ${this.#tokens} (--token-timeout)`,
        'Send it again when fewer requests run, or raise --token-timeout.',
      );
    }
    return () => {
      this.#stopWait();
      this.#tokens += 1;
    };
  }

  stop(): void {
    this.#stopWait();
    this.#stopWhole();
  }

  #after(ms: number, what: (ms: number) => string, advice: string): () => void {
    return ms === 0 ? nothing : this.#parts.clock.after(ms, () => this.#pass(what(ms), advice));
  }

  #pass(what: string, advice?: string): void {
    this.#parts.passed(new AdaptletError('DEADLINE_EXCEEDED', what, advice === undefined ? {} : { advice }));
  }
}
