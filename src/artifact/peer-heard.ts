import type { Clock } from '../time/clock.ts';
import type { PeerWord } from './peer-site.ts';
import type { Heard } from './peer-step.ts';

/** Less than this is no sign of life of who fetches. */
const leastBytes = 64 * 1024;

type Known = { state: PeerWord['state']; bytes: number; since: number; at: number };

/** What runtimes said of one blob, and since when. */
export class HeardPeers {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #known = new Map<string, Known>();
  readonly #waited = new Map<string, number>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  said(name: string, { state, bytes }: PeerWord): Heard {
    const now = this.#clock.monotonic();
    const known = this.#known.get(name);
    if (known === undefined || known.state !== state)
      this.#known.set(name, { state, bytes, since: now, at: now });
    else if (bytes >= known.bytes + leastBytes) {
      known.bytes = bytes;
      known.at = now;
    }
    const { since, at } = this.#known.get(name) ?? { since: now, at: now };
    const waitedMs = now - (this.#waited.get(name) ?? now);
    return { name, state, bytes, quietMs: now - at, sinceMs: now - since, waitedMs };
  }

  /** It goes first, and is waited for. */
  waited(name: string): void {
    if (!this.#waited.has(name)) this.#waited.set(name, this.#clock.monotonic());
  }
}
