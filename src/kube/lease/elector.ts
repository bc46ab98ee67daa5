import { AdaptletError, errorCodeOf } from '../../errors/adaptlet-error.ts';
import { microTime } from '../client/object.ts';
import type { Election, ElectionOptions, Leadership } from './election.ts';
import { Observation } from './observation.ts';
import {
  type Claim,
  claimed,
  epochOf,
  type Holder,
  holderOf,
  isClaimedBy,
  isReleased,
  type Lease,
  released,
} from './record.ts';
import { LeaseRequests } from './requests.ts';
import { type Moment, momentOf, Term } from './term.ts';

/** A candidate: reads the record, decides, writes it, and tells who leads. */
class LeaseElector implements Election {
  readonly #options: ElectionOptions;
  readonly #requests: LeaseRequests;
  readonly #observation: Observation;
  readonly #listeners = new Set<(leadership: Leadership) => void>();
  readonly #stop = new AbortController();
  /** The record as we wrote it last; unknown after anything else. */
  #known: Lease | undefined;
  /** What we wrote, or may have written: an answer that did not come says nothing. */
  #claim: Claim | undefined;
  #term: Term | undefined;
  /** The highest ever seen; one given out is above it. */
  #highest = 0;
  #told: Leadership = { isLeader: false, epoch: 0, holder: undefined };
  #failures = 0;
  #cancelTimer: () => void = () => {};
  #wake: () => void = () => {};
  #running: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ElectionOptions) {
    this.#options = options;
    // A fifth of the lease: there is time for another try, and one more.
    this.#requests = new LeaseRequests({ ...options, requestMs: this.#options.leaseMs / 5 });
    this.#observation = new Observation(options.clock, this.#options.leaseMs);
  }

  start = (): void => {
    if (this.#running !== undefined) throw new AdaptletError('INTERNAL', 'an election was started twice');
    this.#running = this.#run();
  };

  close = (): Promise<void> => {
    this.#closing ??= this.#close();
    return this.#closing;
  };

  get isLeader(): boolean {
    return (
      this.#closing === undefined &&
      this.#term !== undefined &&
      this.#term.waitMs() === 0 &&
      !this.#term.isOver()
    );
  }

  get epoch(): number {
    const { lease } = this.#observation;
    return this.#term?.claim.epoch ?? (lease === undefined ? 0 : epochOf(lease));
  }

  fence = (): number => {
    if (this.isLeader) return this.epoch;
    // Whoever was stopped past its lease comes here before its timers do.
    this.#tell();
    const holder = this.holder();
    throw new AdaptletError(
      'NOT_LEADER',
      `${this.#options.identity} does not hold the lease ${this.#options.namespace}/${this.#options.name}${
        holder === undefined ? '' : `, ${holder.identity} does`
      }`,
    );
  };

  holder = (): Holder | undefined => {
    const { identity, address, addressAnnotation } = this.#options;
    if (this.isLeader) return { identity, address };
    const { lease } = this.#observation;
    return lease === undefined || this.#observation.leftMs() === 0
      ? undefined
      : holderOf(lease, addressAnnotation);
  };

  onChange = (listener: (leadership: Leadership) => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const ms = await this.#turn().then(
        (wait) => {
          this.#failures = 0;
          return wait;
        },
        (error: unknown) => this.#failed(error),
      );
      this.#tell();
      await this.#sleep(ms);
    }
  }

  /** Reads, decides, writes. @returns milliseconds until the next turn */
  async #turn(): Promise<number> {
    const lease = this.#known ?? (await this.#requests.read(this.#stop.signal));
    // Whatever goes wrong from here on: the next turn reads.
    this.#known = undefined;
    const claim = this.#claim;
    if (claim !== undefined && lease !== undefined && isClaimedBy(lease, this.#options.identity, claim))
      return this.#renew(lease, claim);
    if (claim !== undefined && lease === undefined && this.#term?.isOver() === false)
      return this.#write(undefined, claim);
    this.#drop();
    // A leader whose record was deleted makes it anew; whoever were faster would only cost it the lead.
    if (lease === undefined && this.holder() !== undefined) return this.#soon(0.5);
    this.#observation.see(lease);
    if (lease === undefined) return this.#take(undefined, false);
    this.#highest = Math.max(this.#highest, epochOf(lease));
    if (holderOf(lease, this.#options.addressAnnotation) === undefined)
      return this.#take(lease, isReleased(lease));
    const leftMs = this.#observation.leftMs();
    return leftMs === 0 ? this.#take(lease, true) : Math.min(this.#soon(1), leftMs + this.#soon(0.1));
  }

  #take(lease: Lease | undefined, knowsBefore: boolean): Promise<number> {
    const acquireTime = microTime(this.#options.clock.now());
    this.#claim = { acquireTime, epoch: this.#nextEpoch(), knowsBefore };
    return this.#write(lease, this.#claim);
  }

  #renew(lease: Lease, claim: Claim): Promise<number> {
    // Until it acts, an epoch that was written elsewhere may still turn up.
    const acts = this.#term !== undefined && this.#term.waitMs() === 0;
    const epoch = Math.max(
      epochOf(lease),
      acts ? claim.epoch : Math.max(claim.epoch, (this.#options.lastEpoch?.() ?? 0) + 1),
    );
    this.#claim = { ...claim, epoch };
    return this.#write(lease, this.#claim);
  }

  #nextEpoch(): number {
    return Math.max(this.#highest, this.#options.lastEpoch?.() ?? 0) + 1;
  }

  /** Creates the record, or writes over the one that was read, and only that one. */
  async #write(old: Lease | undefined, claim: Claim): Promise<number> {
    const { clock, renewEveryMs } = this.#options;
    const askedAt = momentOf(clock);
    const body = claimed(old, claim, askedAt.wall, this.#options);
    const { signal } = this.#stop;
    try {
      const lease =
        old === undefined
          ? await this.#requests.create(body, signal)
          : await this.#requests.replace(body, signal);
      this.#confirmed(lease, claim, askedAt);
    } catch (error) {
      const code = errorCodeOf(error);
      const isGone = code === 'KUBE_NOT_FOUND' && old !== undefined;
      if (code !== 'KUBE_CONFLICT' && !isGone) throw error;
      this.#options.logger.debug({ err: error }, 'the lease changed meanwhile; reading it again');
      return this.#soon(0.1);
    }
    return Math.max(0, renewEveryMs - (clock.monotonic() - askedAt.monotonic));
  }

  #confirmed(lease: Lease, claim: Claim, askedAt: Moment): void {
    const { clock, leaseMs } = this.#options;
    const { quarantineMs } = this.#observation;
    // A term that ran out meanwhile is told of, even when the next one begins at once.
    this.#tell();
    const parts = { claim, uid: lease.metadata.uid, askedAt };
    this.#term = Term.after(this.#term, parts, { clock, leaseMs, quarantineMs });
    this.#known = lease;
    this.#highest = Math.max(this.#highest, claim.epoch);
  }

  #drop(): void {
    this.#claim = undefined;
    this.#term = undefined;
  }

  #failed(error: unknown): number {
    if (this.#stop.signal.aborted) return 0;
    this.#failures += 1;
    // Once: the same every two seconds helps nobody.
    const level = this.#failures === 1 ? 'warn' : 'debug';
    const { namespace, name } = this.#options;
    this.#options.logger[level](
      { lease: `${namespace}/${name}`, err: error },
      'the lease cannot be read or written',
    );
    return this.#soon(this.#claim === undefined ? 1 : 0.5);
  }

  /** About the given share of the time between tries; at random, so that those who try together do not stay together. */
  #soon(share: number): number {
    return this.#options.retryEveryMs * share * (0.75 + this.#options.random() / 2);
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stop.signal.aborted) return resolve();
      const cancel = this.#options.clock.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Tells the listeners when something is different, and comes back when time alone will make it so. */
  #tell(): void {
    const { logger, identity, namespace, name } = this.#options;
    const now: Leadership = { isLeader: this.isLeader, epoch: this.epoch, holder: this.holder() };
    this.#arm();
    const before = this.#told;
    this.#told = now;
    if (before.isLeader !== now.isLeader)
      logger.info(
        { lease: `${namespace}/${name}`, identity, epoch: now.epoch },
        now.isLeader ? 'this process leads' : 'this process no longer leads',
      );
    if (JSON.stringify(before) === JSON.stringify(now)) return;
    for (const listener of this.#listeners) {
      try {
        listener(now);
      } catch (error) {
        logger.error({ err: error }, 'a listener of the election failed');
      }
    }
  }

  #arm(): void {
    this.#cancelTimer();
    const term = this.#closing === undefined ? this.#term : undefined;
    const ms = term === undefined ? this.#observation.leftMs() : term.waitMs() || term.leftMs();
    this.#cancelTimer =
      ms === 0 || this.#closing !== undefined ? () => {} : this.#options.clock.after(ms, () => this.#tell());
  }

  async #close(): Promise<void> {
    const claim = this.#term?.waitMs() === 0 ? this.#term.claim : undefined;
    this.#stop.abort(new AdaptletError('NOT_LEADER', 'the election was closed'));
    this.#wake();
    await this.#running;
    this.#tell();
    // A claim that does not count yet is not signed off: that would say that nobody acts.
    if (claim !== undefined) await this.#release(claim);
  }

  async #release(claim: Claim): Promise<void> {
    const { clock, logger, leaseMs, identity } = this.#options;
    const late = new AbortController();
    const cancel = clock.after(leaseMs / 5, () =>
      late.abort(new AdaptletError('KUBE_UNAVAILABLE', 'the lease was not signed off in time')),
    );
    try {
      for (;;) {
        const lease = this.#known ?? (await this.#requests.read(late.signal));
        this.#known = undefined;
        if (lease === undefined || !isClaimedBy(lease, identity, claim)) return;
        const isDone = await this.#signOff(lease, late.signal);
        if (isDone) return;
      }
    } catch (error) {
      logger.warn({ err: error }, 'the lease could not be signed off; the others wait until it runs out');
    } finally {
      cancel();
    }
  }

  /** False when the record changed meanwhile. */
  async #signOff(lease: Lease, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#requests.replace(released(lease, this.#options.clock.now(), this.#options), signal);
      return true;
    } catch (error) {
      if (errorCodeOf(error) !== 'KUBE_CONFLICT') throw error;
      return false;
    }
  }
}

/**
 * Election of a leader by a Lease of coordination.k8s.io/v1.
 *
 * Guarantees: `fence` passes in one process at a time; the epoch grows with every change of the leader; a holder that
 * cannot renew stops by itself; one that was stopped for a while (SIGSTOP, a slept machine) finds out before it acts.
 * They hold for any delay and loss of requests and answers, and when the Lease is deleted or made anew.
 *
 * Assumptions: monotonic clocks run alike within 10 %; all candidates have the same `leaseMs`.
 *
 * Caveat: a Lease that does not exist may have been deleted under a leader, so whoever makes it waits for `leaseMs`
 * before it leads. That is so at the first start in a new cluster as well.
 */
export const createElection = (options: ElectionOptions): Election => new LeaseElector(options);
