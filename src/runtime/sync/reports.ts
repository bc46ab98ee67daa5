import type { ObjectKey } from '../../api/names.ts';
import type { Report, ReportLike, ReportsKept } from '../../gen/adaptlet/control/v1/control.ts';
import type { Clock } from '../../time/clock.ts';
import { forgets, reportSince, resumedReport, wholeReport } from './report-diff.ts';
import { likeReport } from './report-like.ts';
import type { Since, Snapshot } from './snapshot.ts';

/** Least milliseconds between two reports of changed states. */
const stateMs = 50;
/** Least milliseconds between two reports of counts alone, or of how far a fetch is. */
const counterMs = 2_000;

export type ReportsParts = {
  readonly clock: Clock;
  readonly snapshot: (since?: Since) => Snapshot;
  /** A report is due: `next` has it. */
  readonly due: () => void;
};

/** What the Welcome of a stream says of its other end. */
export type AtOtherEnd = {
  /** What it has of a former stream; undefined: it knows nothing. */
  readonly kept?: ReportsKept | undefined;
  /** What another runtime reported. */
  readonly like?: ReportLike | undefined;
};

/** What was told on the last stream that took a report. */
type Told = {
  readonly connectionSeq: bigint;
  /** Reports that were sent on it. */
  readonly count: bigint;
  /** The other end, where it took all of them, knows `snapshot` and nothing else. */
  readonly isExact: boolean;
  readonly snapshot: Snapshot;
};

/**
 * When to report, and what: first everything, then what changed since. A stream to an operator that has every report of
 * the one before goes on where that ended. A report is made at the moment when it can be
 * sent, so that what changes meanwhile is in it. A runtime where nothing changes sends nothing.
 */
export class Reports {
  readonly #parts: ReportsParts;
  #told: Told | undefined;
  /** Of the open stream; undefined: there is none. */
  #connectionSeq: bigint | undefined;
  /** Of the open stream, before its first report; `kept` is about the stream of `#told`. */
  #atOtherEnd: AtOtherEnd = {};
  #lastState = Number.NEGATIVE_INFINITY;
  #cancelState: (() => void) | undefined;
  #cancelCounters: (() => void) | undefined;
  #countersDue = false;
  /** Rollouts that may be other than was told; undefined: anything may. */
  #unlike: Set<ObjectKey> | undefined;

  constructor(parts: ReportsParts) {
    this.#parts = parts;
  }

  /** A stream begins. */
  open(connectionSeq: bigint, atOtherEnd: AtOtherEnd = {}): void {
    this.close();
    this.#connectionSeq = connectionSeq;
    this.#atOtherEnd = atOtherEnd;
  }

  close(): void {
    this.#connectionSeq = undefined;
    this.#atOtherEnd = {};
    this.#countersDue = false;
    this.#cancelState?.();
    this.#cancelCounters?.();
    this.#cancelState = undefined;
    this.#cancelCounters = undefined;
  }

  /** A state changed: an adapter's, a rollout's, the runtime's. `rollouts`: of adapters none, and of rollouts no others. */
  changed(rollouts?: Iterable<ObjectKey>): void {
    if (rollouts === undefined) this.#unlike = undefined;
    else for (const key of rollouts) this.#unlike?.add(key);
    if (this.#connectionSeq === undefined || this.#cancelState !== undefined) return;
    const { clock, due } = this.#parts;
    const wait = Math.max(0, this.#lastState + stateMs - clock.monotonic());
    this.#cancelState = clock.after(wait, () => {
      this.#cancelState = undefined;
      this.#lastState = clock.monotonic();
      due();
    });
  }

  /** A request was answered. */
  counted(): void {
    if (this.#connectionSeq === undefined || this.#cancelCounters !== undefined) return;
    const { clock, due } = this.#parts;
    this.#cancelCounters = clock.after(counterMs, () => {
      this.#cancelCounters = undefined;
      this.#countersDue = true;
      due();
    });
  }

  /** What to send now; undefined: nothing. It counts as sent. */
  next(): Report | undefined {
    const connectionSeq = this.#connectionSeq;
    if (connectionSeq === undefined) return undefined;
    const told = this.#told;
    const counters = this.#countersDue;
    const isAny = counters || told?.connectionSeq !== connectionSeq;
    const rollouts = isAny ? undefined : this.#unlike;
    this.#countersDue = false;
    this.#unlike = new Set();
    const now = this.#parts.snapshot(rollouts && told && { last: told.snapshot, rollouts });
    // Bytes arrive without a change of state.
    const isArriving = now.baseModel.state === 'Downloading';
    if (isArriving || now.adapters.values().some(({ state }) => state === 'Fetching')) this.counted();
    if (told?.connectionSeq !== connectionSeq) return this.#first(connectionSeq, now);
    const since = reportSince(told.snapshot, now, counters);
    if (since === undefined) return undefined;
    const isExact = told.isExact && !forgets(told.snapshot, since.told);
    this.#told = { connectionSeq, count: told.count + 1n, isExact, snapshot: since.told };
    return since.report;
  }

  #first(connectionSeq: bigint, now: Snapshot): Report {
    const told = this.#told;
    const { kept, like } = this.#atOtherEnd;
    this.#atOtherEnd = {};
    this.#told = { connectionSeq, count: 1n, isExact: true, snapshot: now };
    // One report of it that was lost, or that came elsewhere since: nobody can tell what the other end knows.
    const isKept =
      told?.isExact === true && told.connectionSeq === kept?.connectionSeq && told.count === kept.count;
    if (isKept && !forgets(told.snapshot, now)) return resumedReport(told.snapshot, now);
    return like === undefined ? wholeReport(now) : likeReport(wholeReport(now), like);
  }
}
