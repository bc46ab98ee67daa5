import type { ChannelCredentials, ClientDuplexStream } from '@grpc/grpc-js';
import {
  ControlClient,
  type RelayRequest,
  type RelayResponse,
} from '../../gen/adaptlet/control/v1/control.ts';
import type { Log } from '../../telemetry/log.ts';
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import type { RuntimeKey } from './fleet.ts';
import { RelayNews } from './relay-news.ts';
import type { FleetStore, LocalEvent } from './store.ts';

/** Where the leader is, as its Lease says. */
export type Leader = { readonly identity: string; readonly address: string };

export type RelayClientOptions = {
  readonly fleet: FleetStore;
  /** Name of this replica. */
  readonly replica: string;
  /** For how many milliseconds each runtime of this replica has lacked something of its plan. */
  readonly planAges: () => Iterable<readonly [RuntimeKey, number]>;
  /** Undefined: nobody leads, or nobody knows. */
  readonly leader: () => Leader | undefined;
  readonly isLeader: () => boolean;
  /** Calls the listener when one of the two may say something else. The result ends it. */
  readonly onLeader: (listener: () => void) => () => void;
  /** With this replica's certificate. */
  readonly credentials: ChannelCredentials;
  /** Name in the certificates of replicas. */
  readonly serverName: string;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Log;
};

const delays = { firstMs: 200, maxMs: 10_000 };
/** The Lease may name somebody who does not lead any more; the next one is known within this time. */
const notLeaderMs = 2_000;
/** Changes of so many milliseconds are told together. */
const gatherMs = 50;
const maxMessageBytes = 16 << 20;
/** How often the ages of plans are told, where any runtime lacks something. */
const agesMs = 10_000;
/** The largest number of the message. */
const mostMs = 2 ** 32 - 1;

type Attempt = {
  readonly leader: Leader;
  readonly client: ControlClient;
  readonly call: ClientDuplexStream<RelayRequest, RelayResponse>;
  readonly news: RelayNews;
  stopTimer: (() => void) | undefined;
  stopAges: (() => void) | undefined;
  /** Runtimes that lacked something of their plans when that was told last; undefined: it never was. */
  lacking: number | undefined;
  blocked: boolean;
  ended: boolean;
  /** As the leader said last; 0: it has not. */
  share: number;
};

/**
 * Tells the leader what the runtimes of this replica report: everything when it connects, then what changed. What the
 * leader does not take yet is not queued: it gets the state of when it does.
 */
export class RelayClient {
  readonly #options: RelayClientOptions;
  readonly #ends: (() => void)[];
  #attempt: Attempt | undefined;
  #failures = 0;
  #stopWaiting = (): void => undefined;
  #closed = false;

  constructor(options: RelayClientOptions) {
    this.#options = options;
    this.#ends = [
      options.onLeader(() => this.#leaderChanged()),
      options.fleet.onLocal((event) => this.#note(event)),
    ];
    this.#connect();
  }

  /** `connected`: 1 while a stream to the leader is open, `failures`: streams in a row that ended at once. */
  gauges(): { readonly connected: number; readonly failures: number } {
    return { connected: Number(this.#attempt !== undefined), failures: this.#failures };
  }

  /** Streams that each replica would have if all had the same; undefined: the leader has not said so. */
  get share(): number | undefined {
    return this.#attempt?.share || undefined;
  }

  close(): void {
    this.#closed = true;
    for (const end of this.#ends) end();
    this.#stopWaiting();
    if (this.#attempt !== undefined) this.#retire(this.#attempt);
  }

  #leaderChanged(): void {
    const leader = this.#options.leader();
    const attempt = this.#attempt;
    if (attempt !== undefined && same(attempt.leader, leader) && !this.#options.isLeader()) return;
    this.#failures = 0;
    if (attempt !== undefined) this.#retire(attempt);
    this.#connect();
  }

  #connect(): void {
    this.#stopWaiting();
    const { leader: leaderNow, isLeader, replica, fleet, credentials, serverName } = this.#options;
    const leader = isLeader() ? undefined : leaderNow();
    if (this.#closed || this.#attempt !== undefined || leader === undefined) return;
    const client = new ControlClient(leader.address, credentials, {
      'grpc.ssl_target_name_override': serverName,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.keepalive_time_ms': 10_000,
      'grpc.keepalive_timeout_ms': 5_000,
      'grpc.max_send_message_length': maxMessageBytes,
      'grpc.enable_retries': 0,
      'grpc.enable_channelz': 0,
    });
    const call = client.relay();
    const attempt: Attempt = {
      leader,
      client,
      call,
      news: new RelayNews(fleet),
      stopTimer: undefined,
      stopAges: undefined,
      lacking: undefined,
      // It says first what it reads.
      blocked: true,
      ended: false,
      share: 0,
    };
    this.#attempt = attempt;
    let isFirst = true;
    call.on('data', ({ notLeader, share, readsExamples }: RelayResponse) => {
      // What came before the end may be handed on after it.
      if (attempt.ended) return;
      if (notLeader) {
        this.#end(attempt, 'it does not lead', notLeaderMs);
        return;
      }
      this.#failures = 0;
      attempt.share = share;
      if (!isFirst) return;
      isFirst = false;
      if (readsExamples) attempt.news.readsExamples();
      attempt.blocked = false;
      this.#flush(attempt);
      this.#tellAges(attempt);
    });
    // `status` says the same, also without an error.
    call.on('error', () => undefined);
    call.on('status', ({ details }: { details: string }) =>
      this.#end(attempt, details || 'it ended the stream'),
    );
    call.on('drain', () => {
      if (isFirst) return;
      attempt.blocked = false;
      this.#flush(attempt);
    });
    call.write({ message: { $case: 'hello', value: { replica } } });
  }

  #end(attempt: Attempt, why: string, delayMs?: number): void {
    if (attempt.ended) return;
    this.#retire(attempt);
    this.#failures += 1;
    const { clock, random, logger } = this.#options;
    const { identity, address } = attempt.leader;
    logger.info({ leader: identity, address, reason: why }, 'no relay to the leader; it is tried again');
    this.#stopWaiting = clock.after(delayMs ?? backoffMs(this.#failures, random, delays), () =>
      this.#connect(),
    );
  }

  #retire(attempt: Attempt): void {
    attempt.ended = true;
    attempt.stopTimer?.();
    attempt.stopAges?.();
    attempt.call.cancel();
    attempt.client.close();
    if (this.#attempt === attempt) this.#attempt = undefined;
  }

  #note(event: LocalEvent): void {
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    attempt.news.note(event);
    attempt.stopTimer ??= this.#options.clock.after(gatherMs, () => {
      attempt.stopTimer = undefined;
      this.#flush(attempt);
    });
  }

  #flush(attempt: Attempt): void {
    if (attempt.blocked || attempt.ended) return;
    for (const message of attempt.news.messages()) {
      attempt.blocked = !attempt.call.write({ message });
      if (attempt.blocked) return;
    }
  }

  /** Now, and again and again; what the leader does not take yet waits for the next time. */
  #tellAges(attempt: Attempt): void {
    const { clock, planAges } = this.#options;
    attempt.stopAges = clock.after(agesMs, () => this.#tellAges(attempt));
    if (attempt.blocked) return;
    const lacking = [...planAges()].flatMap(([key, ms]) =>
      ms < 1 ? [] : [[key, Math.min(Math.floor(ms), mostMs)] as const],
    );
    if (lacking.length === 0 && attempt.lacking === 0) return;
    const value = { lackingMs: Object.fromEntries(lacking) };
    attempt.blocked = !attempt.call.write({ message: { $case: 'planAges', value } });
    attempt.lacking = lacking.length;
  }
}

const same = (a: Leader, b: Leader | undefined): boolean =>
  a.identity === b?.identity && a.address === b.address;
