import type { Clock } from '../../time/clock.ts';
import { ByNamespace } from '../routing/by-namespace.ts';
import type { Labelled } from '../routing/labelled.ts';

/** Sessions that are remembered on a node. */
const maxSessions = 10_000;
/** Milliseconds without a request after which a session is forgotten. */
const idleMs = 30 * 60_000;

type Kept = { readonly labelled: Labelled; readonly at: number };

/** What classifiers were certain of, by session. In memory alone: a restart classifies anew. */
export class SessionLabels {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #kept = new ByNamespace<Kept>(maxSessions);

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  get(namespace: string, session: string): Labelled | undefined {
    const found = this.#kept.get(namespace, session);
    if (found === undefined) return undefined;
    this.#kept.delete(namespace, session);
    if (this.#clock.monotonic() - found.at > idleMs) return undefined;
    this.set(namespace, session, found.labelled);
    return found.labelled;
  }

  set(namespace: string, session: string, labelled: Labelled): void {
    // There may be a thousand, and thousands of sessions.
    const scores = labelled.scores.slice(0, 2);
    this.#kept.set(namespace, session, { labelled: { ...labelled, scores }, at: this.#clock.monotonic() });
  }
}
