import type { ObjectKey } from '../../api/names.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { maxToldRollouts } from '../../rollout/gauges.ts';
import type { MetricFamily } from '../../telemetry/exposition.ts';
import type { OperatorEvent } from '../reconcile/controller.ts';
import type { TurnEvent } from './turn.ts';

/** What a leader counts of rollouts, from the beginning of its term. */
export const rolloutEventMetrics = {
  events: {
    name: 'adaptlet_rollout_events_total',
    help: 'Events of a rollout, by type (Normal or Warning) and reason, in this term of the leader.',
  },
  completed: {
    name: 'adaptlet_rollout_completed_total',
    help: 'Canaries whose rollout ended, by how: the completionStatus of the status, in this term of the leader.',
  },
} as const;

export type Completion = NonNullable<RolloutStatus['completionStatus']>;

/** Events that end the rollout of a canary have the name of its completion. */
const completions: Readonly<Record<Completion, true>> = {
  Promoted: true,
  FastPromoted: true,
  Aborted: true,
  RolledBack: true,
  FastRolledBack: true,
  Superseded: true,
};
const isCompletion = (reason: string): reason is Completion => Object.hasOwn(completions, reason);

/**
 * How canaries ended in one decision. One that had been given up ended then, and not again when it is dropped; a settled
 * rollout that goes back by hand ends as Aborted.
 */
export const completionsOf = (
  before: Pick<RolloutStatus, 'canary' | 'abort'> | undefined,
  events: readonly Pick<TurnEvent, 'reason'>[],
): Completion[] => {
  let isUnderWay = before?.canary !== undefined && before.abort === undefined;
  return events.flatMap(({ reason }) => {
    const isDrop = reason === 'RolledBack' || reason === 'Superseded';
    const ends = isCompletion(reason) && (isUnderWay || !isDrop);
    if (reason === 'RolloutStarted' || reason === 'Retried') isUnderWay = true;
    else if (ends) isUnderWay = false;
    return ends ? [reason] : [];
  });
};

type Kind = Pick<OperatorEvent, 'type' | 'reason'>;
/** By type and reason. */
type Counts = Map<string, Kind & { readonly count: number }>;

const samplesOf = (namespace: string, name: string, counts: Counts): MetricFamily['samples'] =>
  [...counts.values()].map(({ type, reason, count }) => ({
    labels: { namespace, name, type, reason },
    value: count,
  }));

/**
 * How often each event of a rollout happened, and how its canaries ended, in one term. Bounded: events of rollouts beyond
 * the first ones are counted under the name `other`.
 */
export class RolloutEventCounts {
  readonly #events = new Map<ObjectKey, Counts>();
  readonly #others: Counts = new Map();
  readonly #completed = new Map<Completion, number>();

  event(rollout: ObjectKey, { type, reason }: Kind): void {
    const kind = `${type} ${reason}`;
    const counts = this.#countsOf(rollout);
    counts.set(kind, { type, reason, count: (counts.get(kind)?.count ?? 0) + 1 });
  }

  completed(how: readonly Completion[]): void {
    for (const completion of how) this.#completed.set(completion, (this.#completed.get(completion) ?? 0) + 1);
  }

  /** The rollout is gone, and so are its series. */
  forget(rollout: ObjectKey): void {
    this.#events.delete(rollout);
  }

  metrics(): MetricFamily[] {
    const ofOne = [...this.#events].flatMap(([key, counts]) => {
      const [namespace = '', name = ''] = key.split('/', 2);
      return samplesOf(namespace, name, counts);
    });
    return [
      {
        ...rolloutEventMetrics.events,
        type: 'counter',
        samples: [...ofOne, ...samplesOf('', 'other', this.#others)],
      },
      {
        ...rolloutEventMetrics.completed,
        type: 'counter',
        samples: Object.keys(completions).map((completion) => ({
          labels: { completion },
          value: isCompletion(completion) ? (this.#completed.get(completion) ?? 0) : 0,
        })),
      },
    ];
  }

  #countsOf(rollout: ObjectKey): Counts {
    const known = this.#events.get(rollout);
    if (known !== undefined) return known;
    if (this.#events.size >= maxToldRollouts) return this.#others;
    const fresh: Counts = new Map();
    this.#events.set(rollout, fresh);
    return fresh;
  }
}
