import type { Digest, ObjectKey } from '../../api/names.ts';
import type { OciSource } from '../../api/source.ts';
import { adaptersNamedBy } from '../../plan/mentions.ts';
import { isWithin, type Scope } from '../objects/scope.ts';
import type { ControllerParts, Enqueue } from '../reconcile/controller.ts';
import type { NameClaims } from '../reconcile/name-claims.ts';
import type { PolicyVerdicts } from '../reconcile/policy-verdicts.ts';
import { movedIn, type Presences } from '../reconcile/presence.ts';
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
 * that the runtime has, and those that are wanted somewhere; all of them only when a base model comes or goes.
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
  const wanted = (scope: Scope): void => {
    for (const { key, object } of objects.adapters.list()) {
      if (!isWithin(scope, key)) continue;
      const isPreloaded = object !== undefined && object.spec.preload.tier !== 'None';
      if (isPreloaded || hasAny(uses.rolloutsOf(key))) counted(key);
    }
  };
  /** Base models of runtimes that are not away, with the scope of the runtimes. */
  let models: ReadonlyMap<string, Scope> = new Map();
  let cancel: (() => void) | undefined;
  const gathered = new Set<Scope>();
  const gather = (scope: Scope, afterMs: number): void => {
    gathered.add(scope);
    cancel ??= clock.after(afterMs, () => {
      cancel = undefined;
      sweep();
    });
  };
  const sweep = (): void => {
    const scopes = gathered.has(undefined) ? [undefined] : [...gathered];
    gathered.clear();
    for (const scope of scopes) wanted(scope);
    const now = new Map([...presences.present()].map(([scope, model]) => [`${scope ?? ''}/${model}`, scope]));
    const changed = [...now, ...models].filter(([model]) => !now.has(model) || !models.has(model));
    models = now;
    const concerned = new Set(changed.map(([, scope]) => scope));
    for (const { key } of objects.adapters.list())
      if ([...concerned].some((scope) => isWithin(scope, key))) enqueue(key, connectionMs);
    const silentForMs = presences.silentForMs();
    if (silentForMs !== undefined) gather(undefined, silentForMs);
  };

  const stops = [
    objects.adapters.onChange(({ key }) => enqueue(key, 0)),
    objects.rollouts.onChange(({ object, before }) => {
      const keys = new Set([...adaptersNamedBy(object.object), ...adaptersNamedBy(before?.object)]);
      for (const key of keys) known(key, 0);
    }),
    objects.runtimes.onChange((change) => {
      const moved = movedIn(change);
      if (moved !== 'None') gather(moved.scope, gatherMs);
    }),
    claims.onChange((kind, key) => {
      if (kind === 'Adapter') enqueue(key, 50);
      if (kind === 'AdapterRollout') namedBy([key], (adapter) => known(adapter, reportMs));
    }),
    resolver.onChange((key) => enqueue(key, 0)),
    verdicts.onChange((key) => known(key, 0)),
    signatures.onChange((key) => known(key, 0)),
    fleet.onChange(({ runtime, scope, connection, adapters, rollouts }) => {
      if (connection) {
        gather(scope, gatherMs);
        for (const key of fleet.get(runtime)?.adapters.keys() ?? [])
          if (objects.adapters.get(key) !== undefined) counted(key);
      }
      for (const key of adapters) known(key, reportMs);
      namedBy(rollouts, (key) => {
        if (objects.adapters.get(key) !== undefined) counted(key, servingMs);
      });
    }),
  ];
  for (const { key } of objects.adapters.list()) enqueue(key, 0);
  gather(undefined, gatherMs);
  return () => {
    cancel?.();
    for (const stop of stops) stop();
  };
};

const hasAny = (items: Iterable<unknown>): boolean => items[Symbol.iterator]().next().done !== true;
