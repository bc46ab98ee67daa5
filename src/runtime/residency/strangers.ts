import { namespaceOf, type ObjectKey } from '../../api/names.ts';
import type { Clock } from '../../time/clock.ts';

/** Milliseconds for which a source that has nothing for a user is not asked again for a request, and for a guess. */
const restMs = { request: 30_000, guess: 3_600_000 } as const;
/** Users of one namespace that are remembered: so many guesses in an hour may be in vain. */
const maxOfOne = 4_096;

/** Codes of sources that have nothing for a user; some registries deny what they do not have. */
const codes: ReadonlySet<string> = new Set(['ARTIFACT_NOT_FOUND', 'REGISTRY_DENIED']);

/** Whether an error of a source says that it has nothing for a user. */
export const isNothing = (code: string): boolean => codes.has(code);

type Adapter = { readonly key: ObjectKey; readonly uid: string };

/**
 * Users that have no adapter of their own, as their source said: requests may name any number of them.
 *
 * Guarantee: who names many takes nothing from other namespaces, and causes a bounded number of guesses.
 */
export class Strangers {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** Monotonic time of the answer, by uid, the oldest first; by namespace. */
  readonly #answers = new Map<string, Map<string, number>>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** What a failure of its fetch says of a user. */
  failed({ key, uid }: Adapter, code: string): void {
    if (!isNothing(code)) return;
    const namespace = namespaceOf(key);
    const answers = this.#answers.get(namespace) ?? new Map<string, number>();
    this.#answers.set(namespace, answers);
    answers.delete(uid);
    answers.set(uid, this.#clock.monotonic());
    for (const [oldest, since] of answers) {
      if (answers.size <= maxOfOne && this.#leftOf(since, 'guess') > 0) break;
      answers.delete(oldest);
    }
  }

  /** Milliseconds until its source may be asked for a request; undefined: nothing is known of the user. */
  restOf({ key, uid }: Adapter): number | undefined {
    const since = this.#answers.get(namespaceOf(key))?.get(uid);
    return since === undefined ? undefined : this.#leftOf(since, 'request');
  }

  /** False for users whose source had nothing, and for all while too many of their namespace had nothing. */
  mayGuess({ key, uid }: Adapter): boolean {
    const answers = this.#answers.get(namespaceOf(key));
    if (answers === undefined) return true;
    const [oldest = Number.NEGATIVE_INFINITY] = answers.values();
    if (answers.size >= maxOfOne && this.#leftOf(oldest, 'guess') > 0) return false;
    return this.#leftOf(answers.get(uid) ?? Number.NEGATIVE_INFINITY, 'guess') === 0;
  }

  #leftOf(since: number, what: keyof typeof restMs): number {
    return Math.max(0, since + restMs[what] - this.#clock.monotonic());
  }
}
