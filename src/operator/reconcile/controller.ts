import type { ObjectKey } from '../../api/names.ts';
import type { KubeMetadata } from '../../kube/client/object.ts';
import type { Clock } from '../../time/clock.ts';
import type { Fleet } from '../fleet/fleet.ts';
import type { Objects } from '../objects/objects.ts';

/** The kinds whose status the operator writes. */
export type ControlledKind = 'Adapter' | 'AdapterRollout' | 'AdapterRoute' | 'AdapterRuntime';

/** The kinds that it tells of by events. */
export type ObservedKind = ControlledKind | 'AdapterPolicy' | 'Secret';

/** One object, and the version of it that something was decided from. */
export type Version<K extends ObservedKind = ControlledKind> = {
  readonly kind: K;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Its metadata at that version. */
  readonly metadata: KubeMetadata;
};

/**
 * Writes to the API server. Each write is conditional: it fails with KUBE_CONFLICT when the object is no longer at that
 * version, and with KUBE_NOT_FOUND when it is gone. It resolves to false when the object has what was written, and so is
 * still at that version.
 */
export type StatusWriter = {
  /** Replaces the whole status. */
  readonly replaceStatus: (of: Version, status: object, signal: AbortSignal) => Promise<boolean>;
  /** Sets the fields of `status` that are given and leaves the others as they are (JSON merge patch). */
  readonly mergeStatus: (of: Version, status: object, signal: AbortSignal) => Promise<boolean>;
  /** Replaces metadata.finalizers. */
  readonly setFinalizers: (
    of: Version,
    finalizers: readonly string[],
    signal: AbortSignal,
  ) => Promise<boolean>;
};

export type OperatorEvent = {
  readonly regarding: Version<ObservedKind>;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  /** For people. */
  readonly note: string;
  /** What was done or tried, as one CamelCase word. */
  readonly action: string;
};

/** Takes an event and never fails: an event that cannot be written is not worth a decision. */
export type Recorder = { readonly record: (event: OperatorEvent) => void };

/** One term as the leader. Controllers are made for one term and thrown away with it. */
export type Term = {
  /** Number of the term; a later one is higher. */
  readonly epoch: number;
  /** Monotonic time at which it began. */
  readonly since: number;
  /** The number of the term that is now. Throws NOT_LEADER as soon as it may be over. Called right before each write. */
  readonly fence: () => number;
};

/** What the API server has, as far as this replica saw it. */
export type Caches = Pick<Objects, 'adapters' | 'rollouts' | 'routes' | 'policies' | 'runtimes' | 'analyses'>;

/** What every controller is made of. */
export type ControllerParts = {
  readonly clock: Clock;
  readonly term: Term;
  readonly objects: Caches;
  readonly fleet: Fleet;
  readonly writer: StatusWriter;
  readonly recorder: Recorder;
};

/** Wants a key reconciled, in `afterMs` at the latest. */
export type Enqueue = (key: ObjectKey, afterMs: number) => void;

/** Keeps the objects of one kind in step, for one term of leadership. */
export type Controller = {
  readonly name: string;
  /**
   * Reads the caches, decides, writes. Never at the same time as another one for this key. An error is to be repeated
   * with a backoff; NOT_LEADER ends the term.
   */
  readonly reconcile: (key: ObjectKey, signal: AbortSignal) => Promise<Requeue>;
  /** Wants every key once, and from then on those that a change of a cache or of the fleet touches. The result ends it. */
  readonly follow: (enqueue: Enqueue) => () => void;
};

/**
 * Milliseconds of a new term in which a runtime that was connected and has not been heard of is expected to report: a new
 * leader knows nothing until then, which says nothing about the runtimes.
 */
export const graceMs = 30_000;

export type Requeue = { readonly requeueAfterMs?: number };

/** The earliest of some times to look again. */
export const soonest = (...times: readonly (number | undefined)[]): Requeue => {
  const requeueAfterMs = Math.min(...times.filter((time) => time !== undefined));
  return Number.isFinite(requeueAfterMs) ? { requeueAfterMs } : {};
};

export const inGrace = ({ term, clock }: Pick<ControllerParts, 'term' | 'clock'>): boolean =>
  clock.monotonic() - term.since < graceMs;
