import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Report, Welcome } from '../../gen/adaptlet/control/v1/control.ts';
import type { Clock } from '../../time/clock.ts';
import type { Example } from '../fleet/example.ts';
import { type FleetStore, local } from '../fleet/store.ts';
import { type Change, changeFromWire, type Kept, type Update } from '../fleet/update.ts';
import type { BoundRuntime } from '../identity/binding.ts';
import { scopeOf } from '../objects/scope.ts';
import type { SyncCounts } from './counts.ts';
import type { Delivery } from './delivery.ts';
import type { Examples } from './examples.ts';
import type { Introduced } from './hello.ts';

export type ReportingParts = {
  readonly fleet: FleetStore;
  readonly counts: SyncCounts;
  readonly clock: Clock;
  readonly examples: Examples;
};

/** Tells the fleet what a runtime reports. It is known there from its first report on, which has everything or goes on. */
export class Reporting {
  readonly #parts: ReportingParts;
  readonly #update: Update;
  readonly #delivery: () => Pick<Delivery, 'reached' | 'refused'> | undefined;
  #opened: NonNullable<Update['opened']> | undefined;
  /** What this stream may go on from, and the runtime was told so. */
  readonly kept: Kept | undefined;
  /** What its first report may leave out, and the runtime was told so. */
  #like: Example | undefined;

  /** `delivery`: there is one before the first report. */
  constructor(
    parts: ReportingParts,
    runtime: BoundRuntime,
    hello: Introduced,
    delivery: () => Pick<Delivery, 'reached' | 'refused'> | undefined,
  ) {
    this.#parts = parts;
    this.#delivery = delivery;
    const { key, kind, node, pod, ownerUid } = runtime;
    const { instance, connectionSeq, version, baseModel, baseDigest, executionProvider, maxRank } = hello;
    this.#update = { key, kind, instance, connectionSeq };
    this.#opened = {
      connectedAt: parts.clock.now(),
      info: { version, baseModel, baseDigest, executionProvider, node, pod, ownerUid, maxRank },
    };
    this.kept = parts.fleet.kept(this.#update, this.#opened.info);
    if (this.kept === undefined) this.#like = parts.examples.of(scopeOf(kind, key), baseModel);
  }

  /** What the Welcome says of reports. */
  get told(): Pick<Welcome, 'reportsKept' | 'reportLike'> {
    const like = this.#like;
    return {
      reportsKept: this.kept,
      reportLike: like === undefined ? undefined : { partHashes: [...like.partHashes] },
    };
  }

  /** The first report may be a long one: it has every adapter, and nobody knows what others say. */
  get isLong(): boolean {
    const { key, kind } = this.#update;
    const baseModel = this.#opened?.info.baseModel;
    if (baseModel === undefined || this.kept !== undefined || this.#like !== undefined) return false;
    return !this.#parts.examples.areShort(scopeOf(kind, key), baseModel);
  }

  report(report: Report): void {
    const { fleet, counts } = this.#parts;
    counts.reports += 1;
    const { likeParts } = report;
    const read = changeFromWire(report);
    const opened = this.#opened;
    if (likeParts.length > 0 && (opened === undefined || this.#like === undefined))
      throw new AdaptletError('HELLO_INVALID', 'a report is like one that nobody told of');
    const change =
      this.#like === undefined || likeParts.length === 0 ? read : this.#like.complete(read, likeParts);
    this.#like = undefined;
    if (report.resumes) {
      this.#resume(opened, change);
      return;
    }
    if (opened === undefined) {
      fleet.update(local, { ...this.#update, change });
      return;
    }
    if (!change.whole) throw new AdaptletError('HELLO_INVALID', 'the first report does not have everything');
    this.#opened = undefined;
    counts.likeParts += likeParts.length;
    fleet.update(local, { ...this.#update, opened, change, ...this.#reached() });
    const { key, kind } = this.#update;
    const state = fleet.get(key);
    // One that does not count is no example.
    if (state?.connectionSeq !== this.#update.connectionSeq) return;
    this.#parts.examples.learn(scopeOf(kind, key), opened.info.baseModel, state.adapters, likeParts.length);
  }

  /** @throws HELLO_INVALID, REPLICA_UNAVAILABLE */
  #resume(opened: Update['opened'], change: Change): void {
    const { kept } = this;
    if (opened === undefined || kept === undefined || change.whole)
      throw new AdaptletError('HELLO_INVALID', 'a report goes on from reports that nobody said are here');
    this.#opened = undefined;
    const update = { ...this.#update, opened, resumes: kept, change, ...this.#reached() };
    if (this.#parts.fleet.update(local, update)) return;
    throw new AdaptletError('REPLICA_UNAVAILABLE', 'another stream of the runtime reported meanwhile', {
      advice: 'Nothing to do: the runtime dials again by itself, and reports everything.',
    });
  }

  acknowledged(): void {
    if (this.#opened === undefined) this.#parts.fleet.update(local, { ...this.#update, ...this.#reached() });
  }

  #reached(): Pick<Update, 'acknowledged' | 'refused'> {
    const delivery = this.#delivery();
    return delivery === undefined ? {} : { acknowledged: delivery.reached, refused: delivery.refused() };
  }
}
