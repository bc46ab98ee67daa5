import { conditionOf, cut, readyTypes } from '../../api/condition.ts';
import type { ObjectKey } from '../../api/names.ts';
import type { RouteObject } from '../../api/objects.ts';
import type { RouteStatus } from '../../api/route-status.ts';
import type { RuntimeKey } from '../fleet/fleet.ts';
import type { ObjectChange, Read } from '../objects/objects.ts';
import type { Policies } from '../objects/policies.ts';
import { isWithin, namespaceOf, type Scope } from '../objects/scope.ts';
import { type Controller, type ControllerParts, type Enqueue, soonest } from '../reconcile/controller.ts';
import { FencedWrites, lookAgainMs, versionOf } from '../reconcile/fenced-writes.ts';
import { followMoves, type Moves } from '../reconcile/moves.ts';
import type { NameClaims } from '../reconcile/name-claims.ts';
import type { AlikeGroup, Presences } from '../reconcile/presence.ts';
import { refusedAs } from '../reconcile/route-answers.ts';
import { isSettled, type Spread } from '../reconcile/spread.ts';
import { WriteBudget, writeRates } from '../reconcile/write-budget.ts';
import { artifactsOf } from './classifiers.ts';
import { changeOf, decideRoute, type RouteMember } from './decide.ts';
import { type EventReason, eventReasons } from './reasons.ts';
import { findingsOf } from './references.ts';

export type RouteParts = ControllerParts & {
  readonly presences: Presences;
  readonly claims: NameClaims;
  readonly policies: Policies;
  readonly spread: Pick<Spread, 'delayOf'>;
};

/** Milliseconds in which changes of runtimes and of other objects are gathered. */
const gatherMs = 500;

type RouteRead = Read<RouteObject>;
type Memory = {
  readonly uid: string;
  readonly generation: number;
  /** A runtime that answered a plan with this version of the collection has this generation. */
  readonly since: bigint;
  /** What was written last, where the object cannot say: its spec is not valid. */
  written: RouteStatus | undefined;
};

const noFindings = { missing: [], notAllowed: [], warnings: [] };

/** Keeps the status of each AdapterRoute. Nothing effective is in it: plans are compiled from the spec alone. */
export class RouteController implements Controller {
  readonly name = 'route';
  readonly #parts: RouteParts;
  readonly #writes: FencedWrites;
  readonly #budget: WriteBudget;
  readonly #memories = new Map<ObjectKey, Memory>();

  constructor(parts: RouteParts) {
    this.#parts = parts;
    this.#budget = new WriteBudget(parts.clock, writeRates.AdapterRoute);
    this.#writes = new FencedWrites('AdapterRoute', parts);
  }

  readonly follow: Controller['follow'] = (enqueue) => followRoutes(this.#parts, enqueue);

  readonly reconcile: Controller['reconcile'] = async (key, signal) => {
    const { objects, clock, claims, presences, policies } = this.#parts;
    const read = objects.routes.get(key);
    if (read === undefined) {
      this.#memories.delete(key);
      this.#budget.forget(key);
      this.#writes.forget(key);
      return {};
    }
    if (read.metadata.deletionTimestamp !== undefined) return {};
    const memory = this.#memoryOf(read);
    if (this.#writes.isBehind(read)) return { requeueAfterMs: lookAgainMs };
    const { object } = read;
    const before = object === undefined ? memory.written : object.status;
    const { groups, changesInMs } = presences.groups(namespaceOf(key), {
      route: { key, since: memory.since },
    });
    const status = decideRoute({
      generation: memory.generation,
      problems: object === undefined ? read.problems.map(({ reason }) => reason) : [],
      nameConflict: object === undefined ? undefined : claims.conflictOf(object),
      findings:
        object === undefined ? noFindings : findingsOf(object, objects, policies.policyOf(namespaceOf(key))),
      artifacts: object === undefined ? [] : artifactsOf(object.spec),
      members: membersOf(groups),
      before,
      now: new Date(clock.now()).toISOString(),
    });
    const change = changeOf(before, status);
    if (change === 'None') {
      this.#budget.settled(key);
      return soonest(changesInMs);
    }
    const waitMs = this.#budget.waitMs(key, memory.uid, change);
    if (waitMs > 0) return soonest(waitMs, changesInMs);
    const written = await this.#writes.replaceStatus(read, status, signal);
    if (written !== 'Written') return written === 'Conflict' ? { requeueAfterMs: lookAgainMs } : {};
    this.#budget.written(key, memory.uid);
    memory.written = status;
    this.#tell(read, before, status);
    return soonest(changesInMs);
  };

  /**
   * Writes of the status move the version of the route on, and runtimes do not hear of them: what counts is the version
   * at which this generation was first seen. A new leader sees it late; where everybody had it, they have it still.
   */
  #memoryOf({ key, metadata, resourceVersion, object }: RouteRead): Memory {
    const { uid, generation = 1 } = metadata;
    const known = this.#memories.get(key);
    if (known?.uid === uid && known.generation === generation) return known;
    const { observedGeneration, runtimes } = object?.status ?? {};
    const everybodyHadIt =
      known === undefined &&
      observedGeneration === generation &&
      runtimes !== undefined &&
      runtimes.programmed === runtimes.desired &&
      runtimes.desired > 0;
    const memory: Memory = {
      uid,
      generation,
      since: everybodyHadIt ? 0n : BigInt(resourceVersion),
      written: known?.uid === uid ? known.written : undefined,
    };
    this.#memories.set(key, memory);
    return memory;
  }

  #tell(read: RouteRead, before: RouteStatus | undefined, status: RouteStatus): void {
    for (const { type, reason, message } of status.conditions) {
      const isOld = conditionOf(before?.conditions, type)?.reason === reason;
      const isEcho = Object.hasOwn(readyTypes, type);
      if (isOld || isEcho || !isEventReason(reason)) continue;
      this.#parts.recorder.record({
        regarding: versionOf('AdapterRoute', read),
        type: 'Warning',
        reason,
        note: cut(message, 1024),
        action: 'Observe',
      });
    }
  }
}

/** One that is held gets no route before it is released. */
const membersOf = (groups: readonly AlikeGroup[]): RouteMember[] =>
  groups.flatMap(({ presence, profile, runtimes, route }) =>
    presence === 'Away' || profile.restraint === 'Held' || route === undefined
      ? []
      : [{ runtimes, isSilent: presence === 'Silent', ...route }],
  );

const isEventReason = (reason: string): reason is EventReason => Object.hasOwn(eventReasons, reason);

/** Wants each route once, and again when it, what it may name, or what runtimes say of it changed. */
const followRoutes = (sources: RouteParts, enqueue: Enqueue): (() => void) => {
  const { objects, fleet, claims, policies, presences, spread } = sources;
  /** All that their namespace sees count for them. */
  const moved = ({ spots }: Moves): void => {
    for (const { key, object } of objects.routes.list()) {
      const namespace = namespaceOf(key);
      if (!spots.isAnyFor({ namespace, nodes: presences.nodesOf(namespace) })) continue;
      enqueue(key, object !== undefined && isSettled(object) ? spread.delayOf(`AdapterRoute ${key}`) : 0);
    }
  };
  /** Those that wait for something. The others are as they are whatever more runtimes answer, unless one refuses them. */
  const unsettled = new Set<ObjectKey>();
  const keep = ({ key, object }: RouteRead): void => {
    if (object !== undefined && isSettled(object)) unsettled.delete(key);
    else unsettled.add(key);
  };
  const answered = (runtime: RuntimeKey, scope: Scope): void => {
    for (const key of unsettled) if (isWithin(scope, key)) enqueue(key, gatherMs);
    for (const name of fleet.get(runtime)?.refused.keys() ?? []) {
      const read =
        name.startsWith(refusedAs) && objects.routes.get(name.slice(refusedAs.length) as ObjectKey);
      if (read) enqueue(read.key, gatherMs);
    }
  };
  const ofNamespace = ({ object: { metadata } }: ObjectChange<unknown>): void => {
    for (const { key, metadata: route } of objects.routes.list()) {
      if (route.namespace === metadata.namespace) enqueue(key, gatherMs);
    }
  };
  const stops = [
    objects.routes.onChange(({ type, key, object }) => {
      if (type === 'deleted') unsettled.delete(key);
      else keep(object);
      enqueue(key, 0);
    }),
    objects.adapters.onChange((change) => {
      if (change.type !== 'updated') ofNamespace(change);
    }),
    objects.rollouts.onChange((change) => {
      const isSame = change.object.object?.spec.adapter === change.before?.object?.spec.adapter;
      if (change.type !== 'updated' || !isSame) ofNamespace(change);
    }),
    followMoves(sources, gatherMs, moved),
    policies.onChange((isBound) => {
      for (const { key } of objects.routes.list()) if (isBound(namespaceOf(key))) enqueue(key, gatherMs);
    }),
    claims.onChange((kind, key) => {
      if (kind === 'AdapterRoute') enqueue(key, 50);
    }),
    fleet.onChange(({ runtime, scope, acknowledged, routes }) => {
      if (acknowledged) answered(runtime, scope);
      for (const key of routes) if (objects.routes.get(key) !== undefined) enqueue(key, gatherMs);
    }),
  ];
  for (const read of objects.routes.list()) {
    keep(read);
    enqueue(read.key, 0);
  }
  return () => {
    for (const stop of stops) stop();
  };
};
