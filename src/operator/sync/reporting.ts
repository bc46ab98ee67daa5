import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Report } from '../../gen/adaptlet/control/v1/control.ts';
import type { Clock } from '../../time/clock.ts';
import { type FleetStore, local } from '../fleet/store.ts';
import { type Change, changeFromWire, type Kept, type Update } from '../fleet/update.ts';
import type { BoundRuntime } from '../identity/binding.ts';
import type { SyncCounts } from './counts.ts';
import type { Delivery } from './delivery.ts';
import type { Introduced } from './hello.ts';

export type ReportingParts = {
  readonly fleet: FleetStore;
  readonly counts: SyncCounts;
  readonly clock: Clock;
};

/** Tells the fleet what a runtime reports. It is known there from its first report on, which has everything or goes on. */
export class Reporting {
  readonly #parts: ReportingParts;
  readonly #update: Update;
  readonly #delivery: () => Pick<Delivery, 'reached' | 'refused'> | undefined;
  #opened: NonNullable<Update['opened']> | undefined;
  /** What this stream may go on from, and the runtime was told so. */
  readonly kept: Kept | undefined;

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
  }

  report(report: Report): void {
    const { fleet, counts } = this.#parts;
    counts.reports += 1;
    const change = changeFromWire(report);
    const opened = this.#opened;
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
    fleet.update(local, { ...this.#update, opened, change, ...this.#reached() });
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
