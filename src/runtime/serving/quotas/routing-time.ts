import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { Clock } from '../../../time/clock.ts';

/** Milliseconds of the processor from which a decision counts: almost every one takes less than a tenth of it. */
const countedMs = 1;
/** Milliseconds of counted decisions that a namespace may have at once. */
const burstMs = 250;
/** What it gets back of them, as a share of a core. */
const share = 0.05;

type Spent = { ms: number; at: number };

export type RoutingTimeParts = {
  readonly clock: Pick<Clock, 'monotonic'>;
  /** Milliseconds that this thread had of the processor. */
  readonly processorMs?: () => number;
};

const ofThisThread = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

/**
 * How long routes of a namespace keep the thread that serves everybody. Patterns that are made to be slow take up to 200 ms for one
 * request on a slow core (docs/adr/0084): whoever writes routes, or asks for one, could take all of it.
 *
 * Guarantees: decisions of a namespace that take a millisecond or more take a twentieth of a core together, and 250 ms and the last one of them beyond
 * that. Others are not counted. Whoever waits without deciding takes nothing.
 */
export class RoutingTime {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #processorMs: () => number;
  readonly #spent = new Map<string, Spent>();

  constructor({ clock, processorMs = ofThisThread }: RoutingTimeParts) {
    this.#clock = clock;
    this.#processorMs = processorMs;
  }

  /** @throws NAMESPACE_ROUTING_TIME, and what `decide` does */
  measured<T>(namespace: string, decide: () => T): T {
    this.#check(namespace);
    const before = this.#processorMs();
    try {
      return decide();
    } finally {
      const ms = this.#processorMs() - before;
      if (ms >= countedMs)
        this.#spent.set(namespace, { ms: this.#left(namespace) + ms, at: this.#clock.monotonic() });
    }
  }

  #check(namespace: string): void {
    if (!this.#spent.has(namespace)) return;
    const ms = this.#left(namespace);
    if (ms === 0) this.#spent.delete(namespace);
    if (ms <= burstMs) return;
    throw new AdaptletError(
      'NAMESPACE_ROUTING_TIME',
      `To decide which adapter answers took ${Math.round(ms)} ms of this runtime's serving thread for the last requests to routes of namespace ${namespace}, and ${burstMs} ms may be used at once`,
      { retryAfterMs: Math.ceil((ms - burstMs) / share) },
    );
  }

  /** Of what was counted, what did not come back yet. */
  #left(namespace: string): number {
    const spent = this.#spent.get(namespace);
    return spent === undefined ? 0 : Math.max(0, spent.ms - share * (this.#clock.monotonic() - spent.at));
  }
}
