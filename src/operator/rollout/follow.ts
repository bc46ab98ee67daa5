import { analysisRefs } from '../../api/analysis-places.ts';
import { conditionOf } from '../../api/condition.ts';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { isWithin, namespaceOf } from '../objects/scope.ts';
import type { ControllerParts, Enqueue } from '../reconcile/controller.ts';
import { countsAll, followMoves, type Moves } from '../reconcile/moves.ts';
import type { NameClaims } from '../reconcile/name-claims.ts';
import type { PolicyVerdicts } from '../reconcile/policy-verdicts.ts';
import type { Presences } from '../reconcile/presence.ts';
import type { SignatureVerdicts } from '../reconcile/signature-verdicts.ts';
import type { Spread } from '../reconcile/spread.ts';
import type { Uses } from '../reconcile/uses.ts';

/** What tells when a decision about a rollout could be another one. */
export type RolloutSources = Pick<ControllerParts, 'clock' | 'objects' | 'fleet'> & {
  readonly presences: Pick<Presences, 'of' | 'nodesOf'>;
  readonly claims: NameClaims;
  readonly uses: Uses;
  readonly verdicts: Pick<PolicyVerdicts, 'of' | 'onChange'>;
  readonly signatures: Pick<SignatureVerdicts, 'of' | 'onChange'>;
  readonly spread: Pick<Spread, 'delayOf'>;
};

/** Milliseconds in which reports that change decisions are gathered. */
const reportMs = 50;
/** The same for connections and labels, which touch every rollout that the runtime is for; those at rest are spread. */
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
export const followRollouts = (sources: RolloutSources, enqueue: Enqueue): (() => void) => {
  const { objects, fleet, presences, uses, claims, verdicts, signatures, spread } = sources;
  /** Milliseconds until the rollout is looked at for what may be counts alone. */
  const countedIn = (key: ObjectKey, afterMs: number): number => {
    const object = objects.rollouts.get(key)?.object;
    if (object === undefined || !isAtRest(object)) return afterMs;
    return Math.max(afterMs, spread.delayOf(`AdapterRollout ${key}`));
  };
  /** Whether its status says anything of runtimes there. */
  const concerns = ({ metadata: { namespace }, spec, status }: RolloutObject, { spots }: Moves): boolean => {
    const { adapter, runtimeSelector: selector } = spec;
    const baseModel = objects.adapters.get(objectKey(namespace, adapter))?.object?.spec.baseModel;
    const nodes = presences.nodesOf(namespace);
    return spots.isAnyFor({ namespace, nodes, ...(countsAll(status) ? {} : { baseModel, selector }) });
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
    followMoves(sources, connectionMs, (moves) => {
      const concerned = new Set([...moves.adapters].flatMap((adapter) => [...uses.rolloutsOf(adapter)]));
      for (const { key, object } of objects.rollouts.list())
        if (object !== undefined && concerns(object, moves)) concerned.add(key);
      for (const key of concerned) enqueue(key, countedIn(key, 0));
    }),
    claims.onChange((kind, key) => {
      if (kind === 'AdapterRollout') enqueue(key, reportMs);
    }),
    fleet.onChange(({ adapters, rollouts, decisive }) => {
      users(adapters, reportMs);
      for (const key of rollouts) enqueue(key, decisive.has(key) ? reportMs : countedIn(key, countsMs));
    }),
  ];
  for (const { key } of objects.rollouts.list()) enqueue(key, 0);
  return () => {
    for (const stop of stops) stop();
  };
};
