import { analysisRefs } from '../../api/analysis-places.ts';
import { conditionOf } from '../../api/condition.ts';
import type { ObjectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { isWithin, namespaceOf, type Scope } from '../objects/scope.ts';
import type { ControllerParts, Enqueue } from '../reconcile/controller.ts';
import type { NameClaims } from '../reconcile/name-claims.ts';
import type { PolicyVerdicts } from '../reconcile/policy-verdicts.ts';
import { movedIn } from '../reconcile/presence.ts';
import type { SignatureVerdicts } from '../reconcile/signature-verdicts.ts';
import type { Spread } from '../reconcile/spread.ts';
import type { Uses } from '../reconcile/uses.ts';

/** What tells when a decision about a rollout could be another one. */
export type RolloutSources = Pick<ControllerParts, 'clock' | 'objects' | 'fleet'> & {
  readonly claims: NameClaims;
  readonly uses: Uses;
  readonly verdicts: Pick<PolicyVerdicts, 'of' | 'onChange'>;
  readonly signatures: Pick<SignatureVerdicts, 'of' | 'onChange'>;
  readonly spread: Pick<Spread, 'delayOf'>;
};

/** Milliseconds in which reports that change decisions are gathered. */
const reportMs = 50;
/** The same for connections and labels, which touch every rollout that the runtime sees; those at rest are spread. */
const connectionMs = 200;
/** The same for counts of requests, which are judged when a metric is due. */
const countsMs = 5000;

/** Only counts of it change when a runtime comes or goes: its one adapter is stable, and nothing is waited for. */
export const isAtRest = ({ metadata, status }: RolloutObject): boolean =>
  status?.phase === 'Healthy' &&
  status.observedGeneration === metadata.generation &&
  conditionOf(status.conditions, 'Schedulable')?.status !== 'False';

const refersTo = ({ spec }: RolloutObject, name: string): boolean =>
  analysisRefs(spec.strategy).includes(name);

/** Wants each rollout once, and again when something changed that a decision about it looks at. */
export const followRollouts = (
  { clock, objects, fleet, uses, claims, verdicts, signatures, spread }: RolloutSources,
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
    });
  };
  const users = (adapters: Iterable<ObjectKey>, afterMs: number): void => {
    for (const adapter of adapters) for (const key of uses.rolloutsOf(adapter)) enqueue(key, afterMs);
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
    signatures.onChange((key) => users([key], reportMs)),
    objects.runtimes.onChange((change) => {
      const moved = movedIn(change);
      if (moved !== 'None') all(moved.scope);
    }),
    claims.onChange((kind, key) => {
      if (kind === 'AdapterRollout') enqueue(key, reportMs);
    }),
    fleet.onChange(({ scope, connection, adapters, rollouts, decisive }) => {
      if (connection) all(scope);
      users(adapters, reportMs);
      for (const key of rollouts) enqueue(key, decisive.has(key) ? reportMs : countedIn(key, countsMs));
    }),
  ];
  for (const { key } of objects.rollouts.list()) enqueue(key, 0);
  return () => {
    cancel?.();
    for (const stop of stops) stop();
  };
};
