import { analysisRefs } from '../../api/analysis-places.ts';
import { conditionOf } from '../../api/condition.ts';
import type { ObjectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import type { RolloutState, RuntimeKey } from '../fleet/fleet.ts';
import { isWithin, namespaceOf, type Scope } from '../objects/scope.ts';
import type { ControllerParts, Enqueue } from '../reconcile/controller.ts';
import type { NameClaims } from '../reconcile/name-claims.ts';
import type { PolicyVerdicts } from '../reconcile/policy-verdicts.ts';
import { movedIn } from '../reconcile/presence.ts';
import type { Spread } from '../reconcile/spread.ts';
import type { Uses } from '../reconcile/uses.ts';

/** What tells when a decision about a rollout could be another one. */
export type RolloutSources = Pick<ControllerParts, 'clock' | 'objects' | 'fleet'> & {
  readonly claims: NameClaims;
  readonly uses: Uses;
  readonly verdicts: Pick<PolicyVerdicts, 'of' | 'onChange'>;
  readonly spread: Pick<Spread, 'delayOf'>;
};

/** Milliseconds in which reports that change decisions are gathered. */
const reportMs = 50;
/** The same for connections and labels, which touch every rollout that the runtime sees; those at rest are spread. */
const connectionMs = 200;
/** The same for counts of requests, which are judged when a metric is due. */
const countsMs = 5000;

/** What of a report a decision may depend on; the counts are left out. */
const decisive = (state: RolloutState | undefined): string =>
  state === undefined
    ? ''
    : JSON.stringify([
        state.uid,
        state.stableDigest,
        state.canaryDigest,
        state.attempt,
        state.weight,
        state.holds.map(({ digest, cause, attempt, reason }) => [digest, cause, attempt, reason]),
      ]);

/** Only counts of it change when a runtime comes or goes: its one adapter is stable, and nothing is waited for. */
const isAtRest = ({ metadata, status }: RolloutObject): boolean =>
  status?.phase === 'Healthy' &&
  status.observedGeneration === metadata.generation &&
  conditionOf(status.conditions, 'Schedulable')?.status !== 'False';

const refersTo = ({ spec }: RolloutObject, name: string): boolean =>
  analysisRefs(spec.strategy).includes(name);

/** Wants each rollout once, and again when something changed that a decision about it looks at. */
export const followRollouts = (
  { clock, objects, fleet, uses, claims, verdicts, spread }: RolloutSources,
  enqueue: Enqueue,
): (() => void) => {
  /** Milliseconds until the rollout is looked at for what may be counts alone. */
  const countedIn = (key: ObjectKey, afterMs: number): number => {
    const object = objects.rollouts.get(key)?.object;
    if (object === undefined || !isAtRest(object)) return afterMs;
    return Math.max(afterMs, spread.delayOf(`AdapterRollout ${key}`));
  };
  /** Where runtimes came or went: many that come at once touch each rollout once. */
  const gathered = new Set<Scope>();
  let cancel: (() => void) | undefined;
  const all = (scope: Scope): void => {
    gathered.add(scope);
    cancel ??= clock.after(connectionMs, () => {
      cancel = undefined;
      const scopes = gathered.has(undefined) ? [undefined] : [...gathered];
      gathered.clear();
      for (const { key } of objects.rollouts.list())
        if (scopes.some((one) => isWithin(one, key))) enqueue(key, countedIn(key, 0));
      for (const known of last.keys()) if (fleet.get(known) === undefined) last.delete(known);
    });
  };
  const users = (adapters: Iterable<ObjectKey>, afterMs: number): void => {
    for (const adapter of adapters) for (const key of uses.rolloutsOf(adapter)) enqueue(key, afterMs);
  };
  const last = new Map<RuntimeKey, Map<ObjectKey, string>>();
  /** True when more than counts changed in what the runtime says of the rollout. */
  const isDecisive = (runtime: RuntimeKey, rollout: ObjectKey): boolean => {
    const known = last.get(runtime) ?? new Map<ObjectKey, string>();
    last.set(runtime, known);
    const now = decisive(fleet.get(runtime)?.rollouts.get(rollout));
    const before = known.get(rollout);
    if (now === '') known.delete(rollout);
    else known.set(rollout, now);
    return now !== before;
  };

  const stops = [
    objects.rollouts.onChange(({ key }) => enqueue(key, 0)),
    objects.adapters.onChange(({ key }) => users([key], 0)),
    objects.analyses.onChange(({ key }) => {
      const namespace = namespaceOf(key);
      const name = key.slice(namespace.length + 1);
      for (const { key: rollout, object } of objects.rollouts.list())
        if (isWithin(namespace, rollout) && object !== undefined && refersTo(object, name))
          enqueue(rollout, 0);
    }),
    verdicts.onChange((key) => users([key], reportMs)),
    objects.runtimes.onChange((change) => {
      const moved = movedIn(change);
      if (moved !== 'None') all(moved.scope);
    }),
    claims.onChange((kind, key) => {
      if (kind === 'AdapterRollout') enqueue(key, reportMs);
    }),
    fleet.onChange(({ runtime, scope, connection, adapters, rollouts }) => {
      if (connection) all(scope);
      users(adapters, reportMs);
      for (const key of rollouts)
        enqueue(key, isDecisive(runtime, key) ? reportMs : countedIn(key, countsMs));
    }),
  ];
  for (const { key } of objects.rollouts.list()) enqueue(key, 0);
  return () => {
    cancel?.();
    for (const stop of stops) stop();
  };
};
