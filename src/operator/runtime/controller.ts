import { conditionOf, cut } from '../../api/condition.ts';
import { objectKey } from '../../api/names.ts';
import { maxUnderWay, type RuntimeObjectStatus } from '../../api/runtime.ts';
import { adapterAt, canServe } from '../fleet/adapter-at.ts';
import type { RuntimeState } from '../fleet/fleet.ts';
import { censusOf, type ModelCensus, signOf, verdictOf } from '../fleet/model-census.ts';
import type { Nodes } from '../nodes/nodes.ts';
import type { Read, RuntimeObject } from '../objects/objects.ts';
import { restraintOf } from '../objects/restraint.ts';
import {
  type Controller,
  type ControllerParts,
  type Enqueue,
  graceMs,
  inGrace,
  soonest,
} from '../reconcile/controller.ts';
import { FencedWrites, lookAgainMs, versionOf } from '../reconcile/fenced-writes.ts';
import { WriteBudget, writeRates } from '../reconcile/write-budget.ts';
import { changeOf, decideRuntime, type UnderWay } from './decide.ts';
import { type EventReason, eventReasons } from './reasons.ts';

export type RuntimeParts = ControllerParts & { readonly nodes: Pick<Nodes, 'isCordoned' | 'onChange'> };

/** Milliseconds in which reports are gathered. */
const reportMs = 200;
/** The same for connections: the first report follows at once. */
const connectionMs = 500;
/** The same for what decides nothing. */
const countsMs = 2000;

type RuntimeRead = Read<RuntimeObject>;

/** Keeps the status of each AdapterRuntime; the object itself is made by whoever the runtime connects to. */
export class RuntimeController implements Controller {
  readonly name = 'runtime';
  readonly #parts: RuntimeParts;
  readonly #writes: FencedWrites;
  readonly #budget: WriteBudget;
  #census: ModelCensus | undefined;
  /** Monotonic time of the count, and whether runtimes came or went since. */
  #countedAt = 0;
  #isOld = false;

  constructor(parts: RuntimeParts) {
    this.#parts = parts;
    this.#writes = new FencedWrites('AdapterRuntime', parts);
    this.#budget = new WriteBudget(parts.clock, writeRates.AdapterRuntime);
  }

  readonly follow: Controller['follow'] = (enqueue) => {
    const stops = [followRuntimes(this.#parts, enqueue), this.#followModels(enqueue)];
    return () => {
      for (const stop of stops) stop();
    };
  };

  /**
   * One runtime can be what makes another build the one that most have: then it concerns all. When many come or go, they are
   * counted once for all of them.
   */
  #followModels(enqueue: Enqueue): () => void {
    const { fleet, clock } = this.#parts;
    let known = signOf(this.#models());
    let stopTimer: (() => void) | undefined;
    const look = (): void => {
      stopTimer = undefined;
      this.#census = undefined;
      const now = signOf(this.#models());
      if (now === known) return;
      known = now;
      for (const { key } of fleet.all()) enqueue(key, 0);
    };
    const stop = fleet.onChange(({ connection }) => {
      if (!connection) return;
      this.#isOld = true;
      stopTimer ??= clock.after(connectionMs, look);
    });
    return () => {
      stop();
      stopTimer?.();
    };
  }

  readonly reconcile: Controller['reconcile'] = async (key, signal) => {
    const { objects, fleet, nodes, clock, term } = this.#parts;
    const read = objects.runtimes.get(key);
    if (read?.object === undefined) {
      this.#budget.forget(key);
      this.#writes.forget(key);
      return {};
    }
    if (read.metadata.deletionTimestamp !== undefined) return {};
    if (this.#writes.isBehind(read)) return { requeueAfterMs: lookAgainMs };
    const { metadata, spec, status: before } = read.object;
    const state = fleet.get(key);
    const isEarly = inGrace(this.#parts);
    const isSilent = state === undefined && isEarly;
    const monotonic = clock.monotonic();
    // Then it is away, or can be compared with others that have reported by then.
    const graceEndsInMs = isEarly ? term.since + graceMs - monotonic : undefined;
    const status = decideRuntime({
      namespace: metadata.namespace,
      name: metadata.name,
      generation: metadata.generation,
      before,
      state,
      isSilent,
      underWay: state === undefined ? [] : this.#underWayAt(state, read.object),
      verdict: state === undefined || isEarly ? undefined : verdictOf(this.#models(), state),
      spec,
      isNodeCordoned: nodes.isCordoned(nodeOf(state, before)),
      now: new Date(clock.now()).toISOString(),
    });
    const change = status === undefined ? 'None' : changeOf(before, status);
    if (status === undefined || change === 'None') {
      this.#budget.settled(key);
      return soonest(graceEndsInMs);
    }
    const waitMs = this.#budget.waitMs(key, metadata.uid, change);
    if (waitMs > 0) return soonest(waitMs, graceEndsInMs);
    const written = await this.#writes.replaceStatus(read, status, signal);
    if (written !== 'Written') return written === 'Conflict' ? { requeueAfterMs: lookAgainMs } : {};
    this.#budget.written(key, metadata.uid);
    this.#tell(read, before, status);
    return soonest(graceEndsInMs);
  };

  /**
   * Counted anew after runtimes came, went or loaded their model, and not more often than one of them is looked at after it came:
   * so each is in it when it is compared.
   */
  #models(): ModelCensus {
    const now = this.#parts.clock.monotonic();
    if (this.#census !== undefined && !(this.#isOld && now - this.#countedAt >= connectionMs))
      return this.#census;
    this.#census = censusOf(this.#parts.fleet.all());
    this.#countedAt = now;
    this.#isOld = false;
    return this.#census;
  }

  #underWayAt(runtime: RuntimeState, object: RuntimeObject): UnderWay[] {
    // Of a plan that its replica is late with nothing is known here; `updated` of the rollout counts the runtime out.
    const getsPlans = restraintOf(object) === undefined && runtime.refused.size === 0;
    const bound = [...runtime.rollouts].flatMap(([rollout, report]) => {
      if (report.canaryDigest === '') return [];
      const { metadata, status } = this.#parts.objects.rollouts.get(rollout)?.object ?? {};
      const canary = status?.canary;
      return metadata?.uid === report.uid && canary?.digest === report.canaryDigest
        ? [{ rollout, report, canary, namespace: metadata.namespace }]
        : [];
    });
    return bound
      .sort((a, b) => (a.rollout < b.rollout ? -1 : 1))
      .slice(0, maxUnderWay)
      .map(({ rollout, report, canary, namespace }): UnderWay => {
        const { canaryDigest, weight: allowed, effectiveWeight, holds } = report;
        const { adapter } = canary;
        const here = adapterAt(runtime, objectKey(namespace, adapter), canary.uid);
        const state = here?.state ?? 'Remote';
        const serves = canServe(here) && !holds.some(({ digest }) => digest === canaryDigest);
        const follows = getsPlans && serves && effectiveWeight === allowed ? true : undefined;
        return { rollout, adapter, state, weight: Math.min(100, effectiveWeight), follows };
      });
  }

  #tell(read: RuntimeRead, before: RuntimeObjectStatus | undefined, status: RuntimeObjectStatus): void {
    for (const { type, reason, message } of status.conditions) {
      const isOld = conditionOf(before?.conditions, type)?.reason === reason;
      // Of a runtime that went away, or does not serve, one event says everything.
      const isEcho = (reason === 'Disconnected' && type !== 'Connected') || type === 'Reconciling';
      if (isOld || isEcho || !isEventReason(reason)) continue;
      this.#parts.recorder.record({
        regarding: versionOf('AdapterRuntime', read),
        type: reason === 'Connected' ? 'Normal' : 'Warning',
        reason,
        note: cut(message, 1024),
        action: 'Observe',
      });
    }
  }
}

/** The Node that it runs on; '' while nobody knows. */
const nodeOf = (state: RuntimeState | undefined, status: RuntimeObjectStatus | undefined): string =>
  state?.info.node ?? status?.node ?? '';

const isEventReason = (reason: string): reason is EventReason => Object.hasOwn(eventReasons, reason);

/** Wants each runtime once, and again when its object or what it reports changed. */
const followRuntimes = ({ objects, fleet, nodes }: RuntimeParts, enqueue: Enqueue): (() => void) => {
  const stops = [
    objects.runtimes.onChange(({ key }) => enqueue(key, 0)),
    fleet.onChange(({ runtime, connection, opened, acknowledged }) => {
      enqueue(runtime, connection || opened ? connectionMs : acknowledged ? reportMs : countsMs);
    }),
    nodes.onChange((node) => {
      for (const { key, object } of objects.runtimes.list())
        if (nodeOf(fleet.get(key), object?.status) === node) enqueue(key, 0);
    }),
  ];
  for (const { key } of objects.runtimes.list()) enqueue(key, 0);
  return () => {
    for (const stop of stops) stop();
  };
};
