import type { Digest, ObjectKey } from '../../api/names.ts';
import type { AdapterObject } from '../../api/objects.ts';
import type { OciSource } from '../../api/source.ts';
import { adaptersNamedBy } from '../../plan/mentions.ts';
import { isWithin, type Scope } from '../objects/scope.ts';
import type { ControllerParts, Enqueue } from '../reconcile/controller.ts';
import { countsAll, followMoves, type Moves } from '../reconcile/moves.ts';
import type { NameClaims } from '../reconcile/name-claims.ts';
import type { PolicyVerdicts } from '../reconcile/policy-verdicts.ts';
import type { Presences } from '../reconcile/presence.ts';
import type { Resolver } from '../reconcile/resolver.ts';
import type { SignatureVerdicts } from '../reconcile/signature-verdicts.ts';
import { isSettled, type Spread } from '../reconcile/spread.ts';
import type { Uses } from '../reconcile/uses.ts';

/** What the status of an Adapter is made from, and what tells when that changes. */
export type AdapterSources = Pick<ControllerParts, 'clock' | 'objects' | 'fleet'> & {
  readonly presences: Presences;
  readonly claims: NameClaims;
  readonly uses: Uses;
  readonly resolver: Resolver<OciSource, Digest>;
  readonly verdicts: Pick<PolicyVerdicts, 'of' | 'onChange'>;
  readonly signatures: Pick<SignatureVerdicts, 'of' | 'forget' | 'onChange'>;
  readonly spread: Pick<Spread, 'delayOf'>;
};

/** Milliseconds in which reports about an adapter are gathered. */
const reportMs = 1000;
/** The same for connections, which touch many adapters: gathered first, then spread over time. */
const gatherMs = 500;
const connectionMs = 1500;
/** The same for what rollouts report: only the number of runtimes that serve depends on it. */
const servingMs = 5000;

/**
 * Wants each Adapter once, and again when something changed that its status shows. A connection touches the adapters
 * that the runtime has, and those of its base model that are wanted somewhere in a namespace that sees it; all of them only when a base model comes or goes.
 */
export const followAdapters = (sources: AdapterSources, enqueue: Enqueue): (() => void) => {
  const { clock, objects, fleet, uses, claims, resolver, presences, verdicts, signatures, spread } = sources;
  const known = (key: ObjectKey, afterMs: number): void => {
    if (objects.adapters.get(key) !== undefined) enqueue(key, afterMs);
  };
  const namedBy = (rollouts: Iterable<ObjectKey>, want: (key: ObjectKey) => void): void => {
    for (const rollout of rollouts) {
      const read = objects.rollouts.get(rollout);
      for (const key of adaptersNamedBy(read?.object)) want(key);
    }
  };
  /** A runtime came or went: only counts of the adapter change. */
  const counted = (key: ObjectKey, afterMs = connectionMs): void => {
    const object = objects.adapters.get(key)?.object;
    const isLate = object !== undefined && isSettled(object);
    enqueue(key, isLate ? Math.max(afterMs, spread.delayOf(`Adapter ${key}`)) : afterMs);
  };
  const preloaded = new Map<ObjectKey, AdapterObject>();
  const keep = (key: ObjectKey): void => {
    const object = objects.adapters.get(key)?.object;
    if (object !== undefined && object.spec.preload.tier !== 'None') preloaded.set(key, object);
    else preloaded.delete(key);
  };
  /** Whether its status says anything of runtimes there: it does of all of its base model, whatever they are chosen by. */
  const concerns = ({ metadata: { namespace }, spec, status }: AdapterObject, { spots }: Moves): boolean =>
    spots.isAnyFor({
      namespace,
      nodes: presences.nodesOf(namespace),
      ...(countsAll(status) ? {} : { baseModel: spec.baseModel }),
    });
  const wanted = (moves: Moves): void => {
    // Many runtimes come at once, and have the same adapters: each is wanted once for all of them.
    const keys = new Set(moves.adapters);
    const look = (key: ObjectKey, object: AdapterObject): void => {
      if (concerns(object, moves)) keys.add(key);
    };
    for (const [key, object] of preloaded) look(key, object);
    for (const key of uses.adapters()) {
      const object = preloaded.has(key) ? undefined : objects.adapters.get(key)?.object;
      if (object !== undefined) look(key, object);
    }
    for (const runtime of moves.connections)
      for (const key of fleet.get(runtime)?.adapters.keys() ?? []) keys.add(key);
    for (const key of keys) if (objects.adapters.get(key) !== undefined) counted(key);
  };
  /** Base models of runtimes that are not away, with the scope of the runtimes. */
  let models: ReadonlyMap<string, Scope> = new Map();
  let cancel: (() => void) | undefined;
  const followModels = (): void => {
    cancel?.();
    const now = new Map([...presences.present()].map(([scope, model]) => [`${scope ?? ''}/${model}`, scope]));
    const changed = [...now, ...models].filter(([model]) => !now.has(model) || !models.has(model));
    models = now;
    const concerned = [...new Set(changed.map(([, scope]) => scope))];
    if (concerned.length > 0)
      for (const { key } of objects.adapters.list())
        if (concerned.some((scope) => isWithin(scope, key))) enqueue(key, connectionMs);
    const silentForMs = presences.silentForMs();
    cancel = silentForMs === undefined ? undefined : clock.after(silentForMs, followModels);
  };

  const stops = [
    objects.adapters.onChange(({ key }) => {
      keep(key);
      enqueue(key, 0);
    }),
    objects.rollouts.onChange(({ object, before }) => {
      const keys = new Set([...adaptersNamedBy(object.object), ...adaptersNamedBy(before?.object)]);
      for (const key of keys) known(key, 0);
    }),
    followMoves(sources, gatherMs, (moves) => {
      wanted(moves);
      followModels();
    }),
    claims.onChange((kind, key) => {
      if (kind === 'Adapter') enqueue(key, 50);
      if (kind === 'AdapterRollout') namedBy([key], (adapter) => known(adapter, reportMs));
    }),
    resolver.onChange((key) => enqueue(key, 0)),
    verdicts.onChange((key) => known(key, 0)),
    signatures.onChange((key) => known(key, 0)),
    fleet.onChange(({ adapters, rollouts }) => {
      for (const key of adapters) known(key, reportMs);
      namedBy(rollouts, (key) => {
        if (objects.adapters.get(key) !== undefined) counted(key, servingMs);
      });
    }),
  ];
  for (const { key } of objects.adapters.list()) {
    keep(key);
    enqueue(key, 0);
  }
  cancel = clock.after(gatherMs, followModels);
  return () => {
    cancel?.();
    for (const stop of stops) stop();
  };
};
