import type { ObjectKey } from '../../api/names.ts';
import type {
  AdapterObject,
  AnalysisObject,
  Meta,
  PolicyObject,
  RolloutObject,
  RouteObject,
} from '../../api/objects.ts';
import type { FieldProblem } from '../../api/problems.ts';
import type { RuntimeObjectStatus, RuntimeSpec } from '../../api/runtime.ts';
import type { Revision } from '../../control/revision.ts';
import type { KubeMetadata } from '../../kube/client/object.ts';

export type RuntimeObject = {
  readonly kind: 'AdapterRuntime';
  readonly metadata: Meta;
  readonly spec: RuntimeSpec;
  readonly status?: RuntimeObjectStatus;
};

/** An object of the API server, read once for each resourceVersion. */
export type Read<T> = {
  readonly key: ObjectKey;
  readonly resourceVersion: string;
  readonly metadata: KubeMetadata;
  /**
   * Absent when the spec or the status is not valid; `problems` say why. A status that cannot be read is not "none":
   * a decision made without it would undo what is in force.
   */
  readonly object?: T;
  readonly problems: readonly FieldProblem[];
};

/** `object`: of one that was deleted, as it was seen last. `before`: of one that was updated alone. */
export type ObjectChange<T> = {
  readonly type: 'added' | 'updated' | 'deleted';
  readonly key: ObjectKey;
  readonly object: Read<T>;
  readonly before?: Read<T> | undefined;
};

/** The objects of one kind, in all namespaces. The same version is the same object reference. */
export type Collection<T> = {
  get(key: ObjectKey): Read<T> | undefined;
  list(): Iterable<Read<T>>;
  /** The result ends it. */
  onChange(listener: (change: ObjectChange<T>) => void): () => void;
};

/** What this replica has seen of the API server. */
export type Objects = {
  readonly adapters: Collection<AdapterObject>;
  readonly rollouts: Collection<RolloutObject>;
  readonly routes: Collection<RouteObject>;
  readonly policies: Collection<PolicyObject>;
  readonly runtimes: Collection<RuntimeObject>;
  /** Decisions are made with them, and no plan. */
  readonly analyses: Collection<AnalysisObject>;
  /**
   * The newest change of each kind that is in these objects: what a plan that was compiled from them may claim. An idle
   * collection does not move on, so replicas that saw the same changes claim the same.
   */
  revision(): Revision;
  /** How far each kind was seen, by events, lists and bookmarks: at least `revision`. */
  seen(): Revision;
  /** Looks anew at the kinds of which less was seen than `needed`, without waiting for an event or a bookmark. */
  catchUp(needed: Revision): void;
  /** Called after the revision moved on, also without a change of an object. The result ends it. */
  onProgress(listener: () => void): () => void;
  /** Not ok: a collection never synced, fails or is silent; then nothing may be sent to runtimes. */
  health(): { readonly ok: boolean; readonly reason: string };
};
