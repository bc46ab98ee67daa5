import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Clock } from '../../time/clock.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { KubeRequest } from '../client/api.ts';
import { pathOf } from '../client/object.ts';
import { FakeApi } from '../testing/fake-api.ts';
import type { Election } from './election.ts';
import { createElection } from './elector.ts';
import { leaseType } from './record.ts';

export const leasePath = pathOf(leaseType, 'system', 'operator');
export const addressAnnotation = 'example.com/address';

/** What happens to one request: milliseconds to the server and back; undefined is lost on the way. */
export type Fate = { readonly upMs: number | undefined; readonly downMs: number | undefined };

/** A process that takes part in an election. It can be stopped and continued, as by SIGSTOP and SIGCONT. */
export class Candidate {
  readonly identity: string;
  readonly election: Election;
  readonly changes: boolean[] = [];
  #paused = false;
  #missed: (() => void)[] = [];

  constructor(world: LeaseWorld, identity: string) {
    this.identity = identity;
    const clock: Clock = {
      now: () => world.clock.now(),
      monotonic: () => world.clock.monotonic(),
      after: (ms, fn) => world.clock.after(ms, () => this.#happen(fn)),
    };
    this.election = createElection({
      api: {
        request: (request) => world.send(request, (fn) => this.#happen(fn)),
        stream: () => world.api.stream(),
      },
      namespace: 'system',
      name: 'operator',
      identity,
      address: `https://${identity}`,
      addressAnnotation,
      leaseMs: 15_000,
      renewEveryMs: 5_000,
      retryEveryMs: 2_000,
      lastEpoch: () => world.lastEpoch,
      clock,
      random: world.random,
      logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    });
    this.election.onChange(({ isLeader }) => {
      if ((this.changes.at(-1) ?? false) !== isLeader) this.changes.push(isLeader);
    });
  }

  /** What falls due while the process is stopped comes when it goes on. */
  #happen(fn: () => void): void {
    if (this.#paused) this.#missed.push(fn);
    else fn();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    for (const fn of this.#missed.splice(0)) fn();
  }

  passes(): boolean {
    try {
      this.election.fence();
      return true;
    } catch (error) {
      if (error instanceof AdaptletError && error.code === 'NOT_LEADER') return false;
      throw error;
    }
  }
}

/** Candidates, an API server, and a network between them. */
export class LeaseWorld {
  readonly clock = new FakeClock();
  readonly api = new FakeApi();
  readonly random: () => number;
  /** The highest epoch that a leader wrote somewhere. */
  lastEpoch = 0;
  fate: (request: KubeRequest) => Fate = () => ({ upMs: 5, downMs: 5 });

  constructor(random: () => number = () => 0.5) {
    this.random = random;
  }

  candidate(identity: string): Candidate {
    return new Candidate(this, identity);
  }

  /** The lease as a holder that ended well leaves it. */
  seed(): void {
    this.api.serve({
      method: 'POST',
      path: pathOf(leaseType, 'system'),
      body: {
        metadata: { name: 'operator', namespace: 'system' },
        spec: { holderIdentity: '', renewTime: 'earlier' },
      },
    });
  }

  send<T>(request: KubeRequest, happen: (fn: () => void) => void): Promise<T> {
    const { upMs, downMs } = this.fate(request);
    return new Promise<T>((resolve, reject) => {
      if (upMs === undefined) return;
      this.clock.after(upMs, () => {
        const answer = this.#answer<T>(request);
        if (downMs === undefined) return;
        this.clock.after(downMs, () =>
          happen(() => {
            answer.then(resolve, reject);
          }),
        );
      });
    });
  }

  #answer<T>(request: KubeRequest): Promise<T> {
    const { signal: _, ...rest } = request;
    const answer = this.api.request<T>(rest);
    answer.catch(() => {});
    return answer;
  }

  /** Lets time pass in steps; `look` sees every one of them. */
  async pass(ms: number, look: () => void = () => {}, stepMs: () => number = () => 50): Promise<void> {
    const end = this.clock.monotonic() + ms;
    while (this.clock.monotonic() < end) {
      this.clock.advance(Math.min(stepMs(), end - this.clock.monotonic()));
      await new Promise(setImmediate);
      look();
    }
  }
}
