import type { Digest } from '../api/names.ts';
import type { RolloutRuntimes } from '../api/rollout-status.ts';

/** What is known about an Adapter object and its state where it should serve. */
export type AdapterFact = {
  readonly uid: string;
  /** Absent until the source was resolved. */
  readonly digest?: Digest | undefined;
  /**
   * Failed: refused, nothing retries it by itself. A download that failed and is tried again is Pending: an offline node
   * must not abort a rollout.
   */
  readonly state: 'Pending' | 'Resident' | 'Failed';
  /** Why it is not Resident, as one word; '' when there is nothing to say. */
  readonly reason: string;
  /** The same for people. */
  readonly message: string;
  readonly baseModel: string;
  /** Connected runtimes that it should serve on, and how many of them have it Resident. Absent on a node of its own. */
  readonly runtimes?: { readonly ready: number; readonly connected: number } | undefined;
};

/**
 * A digest that a node holds back for this rollout: the guard tripped, or it was rolled back by hand. It is about the
 * attempt in which it was made.
 */
export type Held = { readonly digest: Digest; readonly attempt: number; readonly reason: string };

export type Facts = {
  /** Of the Adapter that spec.adapter names; absent while there is no such object. */
  readonly target?: AdapterFact | undefined;
  /** Of the Adapter that status.stable names, where it is another one; absent when it is not known. */
  readonly stable?: AdapterFact | undefined;
  /** Whether stable and the target fit into RAM together, with the numbers; absent while a size is not known. */
  readonly room?: { readonly fits: boolean; readonly message: string } | undefined;
  /** Every hold of this rollout; those of other digests and of earlier attempts are ignored. */
  readonly held?: readonly Held[] | undefined;
  /** Why no runtime serves the rollout, whatever is decided: its name belongs to another object. */
  readonly nameConflict?: string | undefined;
  /** What was observed of the runtimes, for people: written into the status as it is. Absent on a node of its own. */
  readonly fleet?: Fleet | undefined;
};

export type Fleet = {
  readonly runtimes: RolloutRuntimes;
  /** Percent that the canary answered at the present weight; absent without requests. */
  readonly observedCanary?: number | undefined;
};
