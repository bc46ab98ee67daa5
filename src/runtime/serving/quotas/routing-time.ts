import { AdaptletError, errorCodeOf } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';

/** Milliseconds from which a decision counts: almost every one takes less than a tenth of it. */
const countedMs = 1;
/** From so many milliseconds on a decision counts as many times as it is longer: everybody waits for the whole of it. */
const longMs = 10;
/** Milliseconds that may count for a namespace at once. */
const burstMs = 500;
/** What it gets back of them, as a share of a core. */
const share = 0.05;
/** Namespaces beyond these are looked through for those that have everything back. */
const maxKept = 256;

type Spent = { readonly ms: number; readonly at: number };

export type RoutingTimeParts = {
  readonly clock: Pick<Clock, 'monotonic'>;
  /** Starts to count; the result says how many milliseconds this thread worked since. */
  readonly stopwatch?: () => () => number;
};

const processorMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

/**
 * The time of the processor, which Linux tells as it was at the last tick of its scheduler: what was before that is not counted, as no more
 * time can have passed.
 */
const ofThisThread = (): (() => number) => {
  const [processor, began] = [processorMs(), performance.now()];
  return () => {
    const passed = performance.now() - began;
    return passed < countedMs ? passed : Math.min(passed, processorMs() - processor);
  };
};

/**
 * How long routes of a namespace keep the thread that serves everybody. Patterns that are made to be slow take up to 200 ms for one
 * request on a slow core (docs/adr/0084): whoever writes routes, or asks for one, could take all of it.
 *
 * Guarantees: decisions of a namespace that take a millisecond or more take a twentieth of a core together, and long ones less: of 50 ms a hundredth,
 * so that the longer they are the fewer requests of others meet one. Beyond that are 500 ms at once, and the decision that passes them. Others are not counted, nor are names that are not found. Whoever waits without deciding takes nothing.
 */
export class RoutingTime {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #stopwatch: () => () => number;
  readonly #spent = new Map<string, Spent>();

  constructor({ clock, stopwatch = ofThisThread }: RoutingTimeParts) {
    this.#clock = clock;
    this.#stopwatch = stopwatch;
  }

  /** Namespaces of which something is counted. */
  get kept(): number {
    return this.#spent.size;
  }

  /** To be asked once for a request. @throws NAMESPACE_ROUTING_TIME */
  check(namespace: string): void {
    const ms = this.#left(namespace);
    if (ms <= burstMs) return;
    throw new AdaptletError(
      'NAMESPACE_ROUTING_TIME',
      `To decide which adapter answers kept this runtime's serving thread too long for the last requests to routes of namespace ${namespace}: ${Math.round(ms)} ms count (a decision of more than ${longMs} ms several times), and ${burstMs} may at once`,
      { retryAfterMs: Math.ceil((ms - burstMs) / share) },
    );
  }

  /** @throws what `decide` does */
  measured<T>(namespace: string, decide: () => T): T {
    const took = this.#stopwatch();
    try {
      const decision = decide();
      this.#spend(namespace, took());
      return decision;
    } catch (error) {
      // Looks at all names for one that is near.
      if (errorCodeOf(error) !== 'MODEL_NOT_FOUND') this.#spend(namespace, took());
      throw error;
    }
  }

  #spend(namespace: string, ms: number): void {
    if (ms < countedMs) return;
    const counted = ms * Math.max(1, ms / longMs);
    this.#spent.set(namespace, { ms: this.#left(namespace) + counted, at: this.#clock.monotonic() });
    if (this.#spent.size <= maxKept) return;
    for (const other of this.#spent.keys()) if (this.#left(other) === 0) this.#spent.delete(other);
  }

  /** Of what was counted, what did not come back yet. */
  #left(namespace: string): number {
    const spent = this.#spent.get(namespace);
    return spent === undefined ? 0 : Math.max(0, spent.ms - share * (this.#clock.monotonic() - spent.at));
  }
}
