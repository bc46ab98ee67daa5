import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';
import type { MemoryReading } from '../machine/memory-levels.ts';
import { decide, initialState, marginOf, type Part, type Refused, type State } from './decide.ts';

export type PressureParts = {
  readonly clock: Pick<Clock, 'monotonic' | 'after'>;
  readonly log: Pick<Log, 'info' | 'warn' | 'error' | 'debug'>;
  readonly read: () => MemoryReading;
  /** Of keys and values; undefined where there are none, or not yet. */
  readonly kv: () => Part | undefined;
  readonly adapters: () => Part;
  /** Sets how much each may take for now; called when that changes. `isFull`: both are as they were given. */
  readonly limit: (budgets: {
    readonly kvBytes: number;
    readonly adapterBytes: number;
    readonly isFull: boolean;
  }) => void;
};

/** What memory is like, for people and metrics. Bytes. */
export type PressureView = {
  /** `limited`: budgets are below what was given, and nothing left for it; `short`: something did. */
  readonly phase: 'ample' | 'limited' | 'short' | 'refusing';
  /** What there is least of: a limit of a control group, or the machine; '' where the system does not tell. */
  readonly level: string;
  readonly limitBytes: number;
  readonly usedBytes: number;
  readonly adapterBudgetBytes: number;
  readonly adapterFullBytes: number;
  readonly kvBudgetBytes: number;
  readonly kvFullBytes: number;
  /** How often something was let go of, and requests that were refused, since this process began. */
  readonly shrinks: number;
  readonly refused: number;
  /** Processes that the kernel killed for lack of memory since then. */
  readonly kills: number;
};

/** Often enough that what is loaded meanwhile is less than the margin. */
const lookMs = 250;
const retryAfterMs = 5_000;

const none: Part = {
  fullBytes: 0,
  usedBytes: 0,
  sparableBytes: 0,
  leavingBytes: 0,
  leastBytes: 0,
  guaranteedBytes: 0,
};
const mebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;

/**
 * Looks at the memory of this node and lets budgets shrink before the kernel kills: {@link decide} says how. It says in the log when
 * memory became short, when requests are refused and when either is over, each once.
 */
export class MemoryPressure {
  readonly #parts: PressureParts;
  #state: State = initialState;
  #reading: MemoryReading;
  #level: MemoryReading['levels'][number] | undefined;
  #kv: Part | undefined;
  #adapters: Part;
  #shrunkAt: number | undefined;
  #limited = { kvBytes: Number.POSITIVE_INFINITY, adapterBytes: Number.POSITIVE_INFINITY };
  #shrinks = 0;
  #refused = 0;
  readonly #killsBefore: number;
  #stop: () => void = () => undefined;

  constructor(parts: PressureParts) {
    this.#parts = parts;
    this.#reading = parts.read();
    this.#killsBefore = this.#reading.kills;
    this.#adapters = parts.adapters();
    this.#lookLater();
  }

  /** Something was let go of a short time ago. */
  get isShort(): boolean {
    return this.#shrunkAt !== undefined;
  }

  get view(): PressureView {
    const kv = this.#kv ?? none;
    return {
      phase: this.#phase,
      level: this.#level?.name ?? '',
      limitBytes: this.#level?.limitBytes ?? 0,
      usedBytes: this.#level?.usedBytes ?? 0,
      adapterBudgetBytes: Math.min(this.#state.adapterBytes, this.#adapters.fullBytes),
      adapterFullBytes: this.#adapters.fullBytes,
      kvBudgetBytes: Math.min(this.#state.kvBytes, kv.fullBytes),
      kvFullBytes: kv.fullBytes,
      shrinks: this.#shrinks,
      refused: this.#refused,
      kills: this.#reading.kills - this.#killsBefore,
    };
  }

  /**
   * A request comes. `isGuaranteed`: within what its namespace is sure to have.
   * @throws MEMORY_PRESSURE
   */
  admit(isGuaranteed: boolean): void {
    const { refused } = this.#state;
    if (refused === 'nobody' || (refused === 'unguaranteed' && isGuaranteed)) return;
    this.#refused += 1;
    const { level, limitBytes, usedBytes } = this.view;
    const what = `this node has no memory for one more request: of ${level}, ${mebibytes(limitBytes)}, ${mebibytes(usedBytes)} are in use`;
    throw new AdaptletError('MEMORY_PRESSURE', what, { retryAfterMs });
  }

  close(): void {
    this.#stop();
  }

  get #isFull(): boolean {
    const { kvBytes, adapterBytes } = this.#state;
    return kvBytes >= (this.#kv?.fullBytes ?? 0) && adapterBytes >= this.#adapters.fullBytes;
  }

  get #phase(): PressureView['phase'] {
    if (this.#state.refused !== 'nobody') return 'refusing';
    if (this.isShort) return 'short';
    return this.#isFull ? 'ample' : 'limited';
  }

  #lookLater(): void {
    this.#stop = this.#parts.clock.after(lookMs, () => {
      this.look();
      this.#lookLater();
    });
  }

  /** Looks now. */
  look(): void {
    const { clock, read } = this.#parts;
    this.#noteKills(read());
    this.#kv = this.#parts.kv();
    this.#adapters = this.#parts.adapters();
    const before = this.#state;
    const { state, level, askedBytes } = decide(this.#state, {
      now: clock.monotonic(),
      levels: this.#reading.levels,
      kv: this.#kv ?? none,
      adapters: this.#adapters,
    });
    // Of keys and values nothing was decided before there are any.
    this.#state = this.#kv === undefined ? { ...state, kvBytes: Number.POSITIVE_INFINITY } : state;
    this.#level = level;
    const isLess = this.#state.kvBytes < before.kvBytes || this.#state.adapterBytes < before.adapterBytes;
    this.#tellShortage(isLess ? askedBytes : 0);
    this.#tellRefusals(before.refused, this.#state.refused);
    this.#apply();
  }

  #apply(): void {
    const { kvBytes, adapterBytes } = this.#state;
    if (kvBytes === this.#limited.kvBytes && adapterBytes === this.#limited.adapterBytes) return;
    this.#limited = { kvBytes, adapterBytes };
    this.#parts.limit({ kvBytes, adapterBytes, isFull: this.#isFull });
  }

  #noteKills(reading: MemoryReading): void {
    const killed = reading.kills - this.#reading.kills;
    this.#reading = reading;
    if (killed <= 0) return;
    const { level, limitBytes, usedBytes } = this.view;
    this.#parts.log.error(
      { killed, level, limitBytes, usedBytes },
      'the kernel killed a process of this runtime for lack of memory: raise the memory limit, or lower --kv-memory or --adapter-memory',
    );
  }

  #tellShortage(askedBytes: number): void {
    const { log, clock } = this.#parts;
    const { phase: _, ...numbers } = this.view;
    const now = clock.monotonic();
    if (askedBytes > 0) {
      this.#shrinks += 1;
      const keys = { ...numbers, shrinks: this.#shrinks, askedBytes };
      if (this.isShort) log.debug(keys, 'budgets of memory shrink further');
      else
        log.warn(
          { ...keys, marginBytes: this.#level === undefined ? 0 : marginOf(this.#level) },
          'memory is short: budgets shrink, what is kept for later requests and adapters that nobody uses leave',
        );
      this.#shrunkAt = now;
    } else if (this.#shrunkAt !== undefined && now - this.#shrunkAt >= this.#state.restMs) {
      this.#shrunkAt = undefined;
      log.info(numbers, 'memory is no longer short: budgets grow again');
    }
  }

  #tellRefusals(before: Refused, now: Refused): void {
    const { log } = this.#parts;
    if (before === 'nobody' && now !== 'nobody')
      log.warn(
        { ...this.view, refused: now },
        'memory is short and nothing is left to let go of: new requests are refused',
      );
    if (before !== 'nobody' && now === 'nobody') log.info(this.view, 'requests are taken again');
  }
}
