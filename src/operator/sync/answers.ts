import { type AdaptletError, asAdaptletError } from '../../errors/adaptlet-error.ts';
import type { SyncResponse } from '../../gen/adaptlet/control/v1/control.ts';
import type { Clock } from '../../time/clock.ts';
import { pause } from '../../time/pause.ts';
import type { Channel } from './channel.ts';
import { Pace, type Rate } from './pace.ts';

type Parts = {
  readonly channel: Channel<unknown, SyncResponse>;
  readonly clock: Clock;
  /** What a question is refused with; `what`: why. */
  readonly refusal: (what: string) => AdaptletError;
  /** How fast they are answered. Default: that of what is asked for fetches. */
  readonly rate?: Rate;
};

/** Questions of one kind of one runtime that are under way, until it takes the answers. It fetches a few adapters at a time. */
const maxOpen = 32;
/** Its questions that are answered at once, and how many each second afterwards. */
const answered = { burst: 64, perSecond: 16 };

/** Answers the questions of one kind that one runtime asks, by and by, and not more of them than it takes. */
export class Answers {
  readonly #parts: Parts;
  readonly #pace: Pace;
  #open = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#pace = new Pace(parts.clock, parts.rate ?? answered);
  }

  /**
   * Resolves when the next question may be read: beyond what may be open, when this one is refused and the runtime has taken that. Never throws.
   *
   * @param find the answer; what it throws is the refusal
   * @param refused the answer that tells of a refusal
   */
  async give(
    find: () => Promise<SyncResponse['message']>,
    refused: (error: unknown) => SyncResponse['message'],
  ): Promise<void> {
    const isFull = this.#open >= maxOpen;
    this.#open += 1;
    const given = this.#give(async () => {
      if (isFull) throw this.#parts.refusal(`the runtime asks for more than ${maxOpen} at a time`);
      const ms = this.#pace.next();
      if (ms > 0) await pause(this.#parts.clock, ms, this.#parts.channel.signal);
      return await find();
    }, refused);
    if (isFull) await given;
  }

  async #give(
    find: () => Promise<SyncResponse['message']>,
    refused: (error: unknown) => SyncResponse['message'],
  ): Promise<void> {
    const { channel } = this.#parts;
    try {
      await channel.write({ message: await find().catch(refused) });
    } catch (error) {
      channel.end(asAdaptletError(error, 'writing to a runtime'));
    } finally {
      this.#open -= 1;
    }
  }
}
