import { conditionOf, cut } from '../../api/condition.ts';
import { type ObjectKey, objectKey } from '../../api/names.ts';
import type { RuntimeObjectStatus } from '../../api/runtime.ts';
import { adapterAt } from '../fleet/adapter-at.ts';
import type { RuntimeState } from '../fleet/fleet.ts';
import { censusOf, type ModelCensus, signOf, verdictOf } from '../fleet/model-census.ts';
import type { Nodes } from '../nodes/nodes.ts';
import type { Read, RuntimeObject } from '../objects/objects.ts';
import {
  type Controller,
  type ControllerParts,
  type Enqueue,
  graceMs,
  inGrace,
  soonest,
} from '../reconcile/controller.ts';
import { FencedWrites, lookAgainMs, versionOf } from '../reconcile/fenced-writes.ts';
import { changeOf, decideRuntime, type UnderWay } from './decide.ts';
import { type EventReason, eventReasons } from './reasons.ts';

export type RuntimeParts = ControllerParts & { readonly nodes: Pick<Nodes, 'isCordoned' | 'onChange'> };

/** Milliseconds between two writes of one AdapterRuntime, and between two that only say what was observed. */
const writeMs = 1000;
const observationMs = 10_000;
/** Milliseconds in which reports are gathered. */
const reportMs = 200;
/** The same for connections: the first report follows at once. */
const connectionMs = 500;
/** The same for what decides nothing. */
const countsMs = 2000;

type RuntimeRead = Read<RuntimeObject>;
/** Monotonic times. */
type Memory = { readonly uid: string; writtenAt: number };

/** Keeps the status of each AdapterRuntime; the object itself is made by whoever the runtime connects to. */
export class RuntimeController implements Controller {
  readonly name = 'runtime';
  readonly #parts: RuntimeParts;
  readonly #writes: FencedWrites;
  readonly #memories = new Map<ObjectKey, Memory>();
  #census: ModelCensus | undefined;

  constructor(parts: RuntimeParts) {
    this.#parts = parts;
    this.#writes = new FencedWrites('AdapterRuntime', parts);
  }

  readonly follow: Controller['follow'] = (enqueue) => {
    const stops = [followRuntimes(this.#parts, enqueue), this.#followModels(enqueue)];
    return () => {
      for (const stop of stops) stop();
    };
  };

  /** One runtime can be what makes another build the one that most have: then it concerns all. */
  #followModels(enqueue: Enqueue): () => void {
    let known = signOf(this.#models());
    return this.#parts.fleet.onChange(({ connection }) => {
      if (!connection) return;
      this.#census = undefined;
      const now = signOf(this.#models());
      if (now === known) return;
      known = now;
      for (const { key } of this.#parts.fleet.all()) enqueue(key, connectionMs);
    });
  }

  readonly reconcile: Controller['reconcile'] = async (key, signal) => {
    const { objects, fleet, nodes, clock, term } = this.#parts;
    const read = objects.runtimes.get(key);
    if (read?.object === undefined) {
      this.#memories.delete(key);
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
      underWay: state === undefined ? [] : this.#underWayAt(state),
      verdict: state === undefined || isEarly ? undefined : verdictOf(this.#models(), state),
      spec,
      isNodeCordoned: nodes.isCordoned(nodeOf(state, before)),
      now: new Date(clock.now()).toISOString(),
    });
    if (status === undefined) return soonest(graceEndsInMs);
    const change = changeOf(before, status);
    if (change === 'None') return soonest(graceEndsInMs);
    const memory = this.#memoryOf(key, metadata.uid);
    const pauseMs = change === 'Decision' ? writeMs : observationMs;
    const dueInMs = memory.writtenAt + pauseMs - monotonic;
    if (dueInMs > 0) return soonest(dueInMs);
    const written = await this.#writes.replaceStatus(read, status, signal);
    if (written !== 'Written') return written === 'Conflict' ? { requeueAfterMs: lookAgainMs } : {};
    memory.writtenAt = monotonic;
    this.#tell(read, before, status);
    return soonest(graceEndsInMs);
  };

  /** Counted anew after a runtime came, went or loaded its model. */
  #models(): ModelCensus {
    this.#census ??= censusOf(this.#parts.fleet.all());
    return this.#census;
  }

  #underWayAt(runtime: RuntimeState): UnderWay[] {
    return [...runtime.rollouts].flatMap(([rollout, report]): UnderWay[] => {
      if (report.canaryDigest === '') return [];
      const object = this.#parts.objects.rollouts.get(rollout)?.object;
      const canary = object?.status?.canary;
      if (object === undefined || canary?.digest !== report.canaryDigest) return [];
      const { adapter } = canary;
      const here = adapterAt(runtime, objectKey(object.metadata.namespace, adapter), canary.uid);
      const state = here?.state ?? 'Remote';
      return [{ rollout, adapter, state, weight: Math.min(100, report.effectiveWeight) }];
    });
  }

  #memoryOf(key: ObjectKey, uid: string): Memory {
    const known = this.#memories.get(key);
    if (known?.uid === uid) return known;
    const memory = { uid, writtenAt: Number.NEGATIVE_INFINITY };
    this.#memories.set(key, memory);
    return memory;
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
    fleet.onChange(({ runtime, connection, acknowledged }) => {
      enqueue(runtime, connection ? connectionMs : acknowledged ? reportMs : countsMs);
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
