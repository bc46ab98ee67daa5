import type { Happening } from './views.ts';

/** Happenings of one runtime. */
const maxHappenings = 60;
/** Runtimes that are remembered; the one to which something happened longest ago gives way. */
const maxRuntimes = 5_000;
/** Characters of a message: reasons may be long, and thousands of runtimes may say the same. */
const maxMessage = 300;

/** What happened to runtimes, in memory and bounded. The same thing again is one entry with a count. */
export class Timeline {
  readonly #happenings = new Map<string, Happening[]>();
  #number = 0;

  happened(runtime: string, at: number, what: string, message = ''): void {
    const known = this.#happenings.get(runtime) ?? [];
    const cut = message.slice(0, maxMessage).toWellFormed();
    const last = known.at(-1);
    const isAgain = last?.what === what && (last.message === cut || what === planTaken);
    const number = ++this.#number;
    if (isAgain && last !== undefined)
      known[known.length - 1] = { ...last, number, until: at, count: last.count + 1, message: cut };
    else known.push({ number, at, until: at, count: 1, what, message: cut });
    if (known.length > maxHappenings) known.shift();
    this.#happenings.delete(runtime);
    this.#happenings.set(runtime, known);
    const [oldest] = this.#happenings.keys();
    if (this.#happenings.size > maxRuntimes && oldest !== undefined) this.#happenings.delete(oldest);
  }

  /** The runtime is gone. */
  forget(runtime: string): void {
    this.#happenings.delete(runtime);
  }

  /** The newest first. */
  of(runtime: string): readonly Happening[] {
    return (this.#happenings.get(runtime) ?? []).toReversed();
  }
}

/** It answered a change of its plan: those that follow each other are one entry, with the newest revision. */
export const planTaken = 'Plan taken';
