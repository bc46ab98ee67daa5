import type { Logger } from 'pino';
import type { Clock } from '../../time/clock.ts';

/** Numbers that are reserved with one write to the disk: a node that dials for hours must not wear it out. */
const block = 600_000;

/**
 * Numbers of connections, each higher than all before, across restarts: of two connections of one runtime the operator
 * takes the higher one. They follow the wall clock in milliseconds, so that a runtime that lost its disk is not taken
 * for an old one; what was reserved on the disk keeps them growing when the clock is wrong.
 */
export class ConnectionSequence {
  readonly #clock: Clock;
  readonly #reserve: (upTo: number) => Promise<void>;
  readonly #logger: Pick<Logger, 'error'>;
  #last: number;
  #reserved: number;

  /** `reserved`: the highest number that an earlier process may have used. */
  constructor(
    reserved: number,
    parts: {
      readonly clock: Clock;
      /** Resolves once it survives a restart. */
      readonly reserve: (upTo: number) => Promise<void>;
      readonly logger: Pick<Logger, 'error'>;
    },
  ) {
    this.#last = reserved;
    this.#reserved = reserved;
    this.#clock = parts.clock;
    this.#reserve = parts.reserve;
    this.#logger = parts.logger;
  }

  async next(): Promise<bigint> {
    const number = Math.max(this.#last + 1, Math.floor(this.#clock.now()));
    this.#last = number;
    if (number > this.#reserved) {
      this.#reserved = number + block;
      try {
        await this.#reserve(this.#reserved);
      } catch (error) {
        this.#logger.error(
          { err: error },
          'the number of the connection could not be written to disk; after a restart the clock alone makes it grow',
        );
      }
    }
    return BigInt(number);
  }
}
