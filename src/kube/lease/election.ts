import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { KubeApi } from '../client/api.ts';
import type { Holder } from './record.ts';

/** Of one candidate of an election. */
export type ElectionOptions = {
  readonly api: KubeApi;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** Unique to this process: two lives of a pod are two. */
  readonly identity: string;
  /** Where the others reach this process when it leads. */
  readonly address: string;
  /** Key of the annotation of the Lease that has the address. */
  readonly addressAnnotation: string;
  /**
   * The same for all candidates: who leads acts for 80 % of it after a renewal was sent, and the others wait for all of
   * it after they saw the renewal.
   */
  readonly leaseMs: number;
  readonly renewEveryMs: number;
  readonly retryEveryMs: number;
  /**
   * The highest epoch that was written anywhere. An epoch given out is above it, also when the Lease, which has the
   * last one, was deleted. Default: none is known.
   */
  readonly lastEpoch?: () => number;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Log;
};

/** What a candidate knows of who leads. */
export type Leadership = {
  readonly isLeader: boolean;
  readonly epoch: number;
  /** Who leads, as far as it is known. */
  readonly holder: Holder | undefined;
};

/** The part of one candidate in the election of a leader. */
export type Election = {
  /** Takes part from now on. Once. */
  readonly start: () => void;
  /**
   * Stops leading at once, signs the lease off where it is held, so that another can take it at once, and ends. To be
   * called when what this process did as the leader has ended. Takes at most as long as one request may.
   */
  readonly close: () => Promise<void>;
  readonly isLeader: boolean;
  /** leaseTransitions of the Lease as it was last seen. It grows with every change of the leader. */
  readonly epoch: number;
  /**
   * To be called right before each act of a leader.
   * @returns the epoch
   * @throws AdaptletError NOT_LEADER unless this process holds the lease by its own clock
   */
  readonly fence: () => number;
  /** Who leads: this process, or another one whose lease goes on as far as can be seen. */
  readonly holder: () => Holder | undefined;
  /** Calls back when something of `Leadership` is different; the result ends that. */
  readonly onChange: (listener: (leadership: Leadership) => void) => () => void;
};
