import type { Clock } from '../time/clock.ts';

/** A mirror that gave no answer is left alone for so many milliseconds: each request would wait for it. */
const silentMs = 60_000;
/** Files of which it is remembered who had them. */
const maxServed = 1_000;

/** A file of which a mirror has sent something: how many mirrors are passed over for it, and from which byte on it was sent. */
type Served = { readonly mirrors: number; readonly from: number };

/** What is known of the mirrors of registries. */
export class MirrorMemory {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** Monotonic times until which hosts are not asked. */
  readonly #silent = new Map<string, number>();
  readonly #served = new Map<string, Served>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /**
   * The mirrors to ask for a file now, from a byte on. One that has sent it is passed over where it is wanted from no later byte again:
   * what it sent was not what the digest says, or broke off and brought nothing.
   */
  *of(hosts: readonly string[], file: string, from: number): Generator<string> {
    const served = this.#served.get(file);
    const first = served === undefined || from > served.from ? 0 : served.mirrors;
    for (const [index, host] of hosts.entries()) {
      if (index < first || (this.#silent.get(host) ?? 0) > this.#clock.monotonic()) continue;
      yield host;
    }
  }

  served(hosts: readonly string[], host: string, file: string, from: number): void {
    this.#served.delete(file);
    this.#served.set(file, { mirrors: hosts.indexOf(host) + 1, from });
    for (const oldest of this.#served.keys()) {
      if (this.#served.size <= maxServed) break;
      this.#served.delete(oldest);
    }
  }

  /** Its registry does not have it either, or does not answer: the mirrors are asked again. */
  forget(file: string): void {
    this.#served.delete(file);
  }

  silent(host: string): void {
    this.#silent.set(host, this.#clock.monotonic() + silentMs);
  }
}
