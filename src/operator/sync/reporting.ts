import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Report } from '../../gen/adaptlet/control/v1/control.ts';
import type { Clock } from '../../time/clock.ts';
import { type FleetStore, local } from '../fleet/store.ts';
import { changeFromWire, type Update } from '../fleet/update.ts';
import type { BoundRuntime } from '../identity/binding.ts';
import type { SyncCounts } from './counts.ts';
import type { Delivery } from './delivery.ts';
import type { ReadHello } from './hello.ts';

export type ReportingParts = {
  readonly fleet: FleetStore;
  readonly counts: SyncCounts;
  readonly clock: Clock;
};

/** Tells the fleet what a runtime reports. It is known there from its first report on, which has everything. */
export class Reporting {
  readonly #parts: ReportingParts;
  readonly #update: Update;
  readonly #delivery: Delivery;
  #opened: NonNullable<Update['opened']> | undefined;

  constructor(parts: ReportingParts, runtime: BoundRuntime, hello: ReadHello, delivery: Delivery) {
    this.#parts = parts;
    this.#delivery = delivery;
    const { key, kind, node, pod, ownerUid } = runtime;
    const { instance, connectionSeq, version, baseModel, baseDigest, executionProvider, maxRank } = hello;
    this.#update = { key, kind, instance, connectionSeq };
    this.#opened = {
      connectedAt: parts.clock.now(),
      info: { version, baseModel, baseDigest, executionProvider, node, pod, ownerUid, maxRank },
    };
  }

  report(report: Report): void {
    const { fleet, counts } = this.#parts;
    counts.reports += 1;
    const change = changeFromWire(report);
    const opened = this.#opened;
    if (opened === undefined) {
      fleet.update(local, { ...this.#update, change });
      return;
    }
    if (!change.whole) throw new AdaptletError('HELLO_INVALID', 'the first report does not have everything');
    this.#opened = undefined;
    fleet.update(local, { ...this.#update, opened, change, ...this.#reached() });
  }

  acknowledged(): void {
    if (this.#opened === undefined) this.#parts.fleet.update(local, { ...this.#update, ...this.#reached() });
  }

  #reached(): Pick<Update, 'acknowledged' | 'refused'> {
    return {
      acknowledged: this.#delivery.reached,
      refused: this.#delivery.refused(),
    };
  }
}
