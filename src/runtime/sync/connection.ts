import type { Logger } from 'pino';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Ack, Hello, SyncResponse } from '../../gen/adaptlet/control/v1/control.ts';
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import type { Dial, StreamEnd, SyncStream } from './dial.ts';
import { type Current, Outbox, type Question } from './outbox.ts';

type Message<Case extends string> = Extract<SyncResponse['message'], { $case: Case }>['value'];

/** What a connection is for. Its methods are called in the order of the stream, and never for a former stream. */
export type Peer = Current & {
  hello(): Promise<Hello>;
  /** @throws CLUSTER_UNTRUSTED */
  welcome(welcome: Message<'welcome'>): void;
  put(resource: Message<'put'>): void;
  remove(key: string): void;
  /** Resolves with what to answer, once that may be said. Errors end the stream. */
  commit(commit: Message<'commit'>): Promise<Ack>;
  unknown(names: readonly string[]): void;
  credential(credential: Message<'credential'>): void;
  peers(answer: Message<'peers'>): void;
  servingCertificate(answer: Message<'servingCertificate'>): void;
  feedbackKeys(given: Message<'feedbackKeys'>): void;
  /** The stream ended, or none came about. */
  broken(): void;
};

export type ConnectionState = {
  readonly kind: 'connecting' | 'connected' | 'waiting' | 'untrusted' | 'closed';
  /** Since when it is connected, or is not: wall time in milliseconds since the epoch. */
  readonly since: number;
  readonly replica: string;
  /** Why the last stream ended; '' when none did. */
  readonly lastError: string;
};

export type ConnectionParts = {
  readonly dial: Dial;
  readonly peer: Peer;
  readonly clock: Clock;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'debug'>;
  /** From [0, 1); spreads reconnects. */
  readonly random: () => number;
};

/** When an operator goes all its runtimes see it at one moment, so they come again at any time within the pause. */
const delays = { firstMs: 200, maxMs: 30_000, jitter: 1 };
/** Longest pause that an operator can ask for. */
const maxRetryAfterMs = 60_000;
/** Of another cluster: only a person can change that. */
const untrustedMs = 60_000;
/**
 * Without a Welcome within this time there is no operator: its address is dead, or it hangs. An operator to which a thousand come at once needs
 * long for the last of them. A new leader waits 30 s until it takes runtimes for away: a second dial is within that.
 */
const welcomeMs = 20_000;
/** Streams that end sooner count as failures in a row. */
const stableMs = 10_000;

type Attempt = {
  stream: SyncStream | undefined;
  readonly outbox: Outbox;
  /** The names changed after the Hello was made, and before its answer came. */
  subscribe: boolean;
  /** It lived for a while. */
  isStable: boolean;
  ended: boolean;
};

/**
 * The connection to the operator: dials, speaks the protocol, and dials again for ever, with growing pauses.
 *
 * Guarantees: one stream at a time; `peer.broken` before the next one.
 */
export class Connection {
  readonly #parts: ConnectionParts;
  #state: ConnectionState;
  #attempt: Attempt | undefined;
  #failures = 0;
  #cancelTimer = (): void => undefined;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    this.#state = { kind: 'closed', since: parts.clock.now(), replica: '', lastError: '' };
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** The names that are asked for are others. Without a stream the next Hello has them. */
  subscribe(): void {
    if (this.#attempt === undefined) return;
    if (this.#state.kind === 'connected') this.#attempt.outbox.subscribe();
    else this.#attempt.subscribe = true;
  }

  /** There is something to report. */
  report(): void {
    if (this.#state.kind === 'connected') this.#attempt?.outbox.report();
  }

  /** False: there is no stream now. */
  ask(question: Question): boolean {
    if (this.#state.kind !== 'connected' || this.#attempt === undefined) return false;
    this.#attempt.outbox.ask(question);
    return true;
  }

  start(): void {
    if (this.#state.kind === 'closed') void this.#connect();
  }

  /** Ends the stream that there is and dials again at once. */
  restart(why: string): void {
    if (this.#state.kind === 'closed') return;
    const { kind } = this.#state;
    this.#failures = 0;
    if (kind === 'waiting' || kind === 'untrusted') void this.#connect();
    else if (this.#attempt !== undefined) this.#end(this.#attempt, why, 0);
  }

  close(): void {
    this.#enter('closed', { lastError: this.#state.lastError });
    this.#cancelTimer();
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    this.#retire(attempt);
    this.#parts.peer.broken();
  }

  async #connect(): Promise<void> {
    const { dial, peer, clock } = this.#parts;
    this.#cancelTimer();
    this.#enter('connecting', { lastError: this.#state.lastError });
    const attempt: Attempt = {
      stream: undefined,
      outbox: new Outbox((message, sent) => attempt.stream?.send(message, sent), peer),
      subscribe: false,
      isStable: false,
      ended: false,
    };
    this.#attempt = attempt;
    try {
      const hello = await peer.hello();
      if (attempt.ended) return;
      const stream = await dial({
        message: (message) => this.#take(attempt, message),
        closed: (end) => this.#closed(attempt, end),
      });
      attempt.stream = stream;
      if (attempt.ended) {
        stream.cancel();
        return;
      }
      this.#cancelTimer = clock.after(welcomeMs, () => {
        this.#end(attempt, `the operator said nothing within ${welcomeMs} ms`);
      });
      stream.send({ message: { $case: 'hello', value: hello } }, () => undefined);
    } catch (error) {
      this.#end(attempt, reasonOf(error));
    }
  }

  #take(attempt: Attempt, { message }: SyncResponse): void {
    if (attempt.ended || message === undefined) return;
    const { peer } = this.#parts;
    try {
      if (message.$case === 'welcome') {
        this.#welcome(attempt, message.value);
        return;
      }
      if (this.#state.kind !== 'connected') throw new Error(`${message.$case} came before the Welcome`);
      if (message.$case === 'put') peer.put(message.value);
      else if (message.$case === 'remove') peer.remove(message.value);
      else if (message.$case === 'unknown') peer.unknown(message.value.names);
      else if (message.$case === 'heldWanted') attempt.outbox.held(message.value.partHashes);
      else if (message.$case === 'credential') peer.credential(message.value);
      else if (message.$case === 'peers') peer.peers(message.value);
      else if (message.$case === 'servingCertificate') peer.servingCertificate(message.value);
      else if (message.$case === 'feedbackKeys') peer.feedbackKeys(message.value);
      else void this.#commit(attempt, message.value);
    } catch (error) {
      const isUntrusted = error instanceof AdaptletError && error.code === 'CLUSTER_UNTRUSTED';
      this.#end(attempt, reasonOf(error), isUntrusted ? untrustedMs : undefined);
    }
  }

  #welcome(attempt: Attempt, welcome: Message<'welcome'>): void {
    if (this.#state.kind !== 'connecting') throw new Error('a second Welcome came');
    const { peer, clock, logger } = this.#parts;
    peer.welcome(welcome);
    this.#cancelTimer();
    this.#enter('connected', { replica: welcome.replica, lastError: '' });
    this.#cancelTimer = clock.after(stableMs, () => {
      this.#failures = 0;
      attempt.isStable = true;
    });
    logger.info({ replica: welcome.replica, cluster: welcome.clusterUid }, 'connected to the operator');
    const { outbox, subscribe } = attempt;
    if (subscribe) outbox.subscribe();
    outbox.report();
  }

  async #commit(attempt: Attempt, commit: Message<'commit'>): Promise<void> {
    try {
      const ack = await this.#parts.peer.commit(commit);
      attempt.outbox.ack(ack);
    } catch (error) {
      this.#end(attempt, reasonOf(error));
    }
  }

  #retire(attempt: Attempt): void {
    attempt.ended = true;
    attempt.outbox.close();
    attempt.stream?.cancel();
    if (this.#attempt === attempt) this.#attempt = undefined;
  }

  #closed(attempt: Attempt, { why, isClean, retryAfterMs }: StreamEnd): void {
    if (attempt.ended) return;
    const { random, peer, logger } = this.#parts;
    if (isClean && attempt.isStable) {
      this.#retire(attempt);
      peer.broken();
      logger.info('the operator ended the stream in order; the next one is begun');
      void this.#connect();
      // What hangs up soon has failed, however it says so.
    } else if (retryAfterMs === undefined) this.#end(attempt, why);
    // Not before it was asked to, and up to twice as late: many were told the same.
    else this.#end(attempt, why, Math.min(maxRetryAfterMs, retryAfterMs) * (1 + random()));
  }

  #end(attempt: Attempt, why: string, delayMs?: number): void {
    if (attempt.ended) return;
    const { peer, clock, logger, random } = this.#parts;
    this.#retire(attempt);
    this.#cancelTimer();
    peer.broken();
    this.#failures++;
    const isNew = why !== this.#state.lastError;
    logger[isNew ? 'warn' : 'debug'](
      { reason: why },
      'no connection to the operator; the plan stays in force',
    );
    this.#enter(delayMs === untrustedMs ? 'untrusted' : 'waiting', { lastError: why });
    const delay = delayMs ?? backoffMs(this.#failures, random, delays);
    this.#cancelTimer = clock.after(delay, () => void this.#connect());
  }

  #enter(
    kind: ConnectionState['kind'],
    rest: { readonly replica?: string; readonly lastError: string },
  ): void {
    const isTurn = (kind === 'connected') !== (this.#state.kind === 'connected');
    const since = isTurn ? this.#parts.clock.now() : this.#state.since;
    this.#state = { kind, since, replica: '', ...rest };
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
