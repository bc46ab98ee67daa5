import { expect } from 'vitest';
import { objectKey } from '../../api/names.ts';
import { noRevision } from '../../control/revision.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import {
  type AdapterReport,
  BaseModelReport,
  type LimitReport,
  Report,
  type RolloutReport,
  type RouteClassifiers,
  RuntimeReport,
} from '../../gen/adaptlet/control/v1/control.ts';
import { wholeReport } from '../../runtime/sync/report-diff.ts';
import { Reports } from '../../runtime/sync/reports.ts';
import type { Snapshot } from '../../runtime/sync/snapshot.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import type { RuntimeState } from '../fleet/fleet.ts';
import { RelayedRuntimes } from '../fleet/relay-server.ts';
import { FleetStore, local } from '../fleet/store.ts';
import { runtimeToWire } from '../fleet/to-wire.ts';
import type { BoundRuntime } from '../identity/binding.ts';
import { noCounts } from './counts.ts';
import { Examples } from './examples.ts';
import type { ReadHello } from './hello.ts';
import { Reporting } from './reporting.ts';

export const key = objectKey('adaptlet-system', 'node-1');
const bound: BoundRuntime = {
  namespace: 'adaptlet-system',
  name: 'node-1',
  kind: 'Node',
  key,
  node: 'node-1',
  pod: '',
  account: 'adaptlet-runtime',
  ownerUid: 'uid',
};

/** A process of a runtime, and what it is like. */
class Process {
  readonly clock: FakeClock;
  readonly instance: string;
  readonly adapters = new Map<string, AdapterReport>();
  readonly rollouts = new Map<string, RolloutReport>();
  readonly limits = new Map<string, LimitReport>();
  readonly classifiers = new Map<string, RouteClassifiers>();
  ready = false;
  used = 0n;
  baseDigest = '';
  removals = 0;
  /** Grows with every change of any counts. */
  counted = 0n;
  /** A report is to be sent. */
  isDue = false;
  readonly reports: Reports;

  constructor(instance: string, clock: FakeClock) {
    this.instance = instance;
    this.clock = clock;
    this.reports = new Reports({
      clock,
      snapshot: () => this.snapshot(),
      due: () => {
        this.isDue = true;
      },
    });
  }

  snapshot(): Snapshot {
    const isLoaded = this.baseDigest !== '';
    return {
      adapters: new Map(this.adapters),
      rollouts: new Map(this.rollouts),
      limits: new Map(this.limits),
      classifiers: new Map(this.classifiers),
      memory: { budgetBytes: 1_000n, usedBytes: this.used },
      disk: { budgetBytes: 1_000n, usedBytes: this.used * 2n },
      ready: this.ready,
      message: this.ready ? '' : 'not yet',
      removalsHeld:
        this.removals === 0
          ? undefined
          : { count: this.removals, fingerprint: `f-${this.removals}`, remainingMs: 1_000n },
      baseModel: BaseModelReport.fromPartial({
        state: isLoaded ? 'Ready' : 'Loading',
        baseDigest: this.baseDigest,
        executionProvider: isLoaded ? 'CPUExecutionProvider' : '',
      }),
    };
  }
}

type Sent = { readonly report: Report; readonly snapshot: Snapshot };

/** One stream; each end knows by itself whether it is over. */
export type Stream = {
  readonly replica: Replica;
  readonly connectionSeq: bigint;
  readonly hello: ReadHello;
  readonly reporting: Reporting;
  readonly up: Sent[];
  isOpenAbove: boolean;
  took: number;
};

export type Replica = { fleet: FleetStore; examples: Examples };

/** A runtime that reports to one of two replicas at a time, the first of which leads and hears of the other. */
export class ResumeWorld {
  readonly clock = new FakeClock();
  readonly replicas: readonly Replica[] = [this.#replica(), this.#replica()];
  readonly streams: Stream[] = [];
  #relayed = new RelayedRuntimes(this.#fleet(0), { name: 'relay' });
  #seq = 0n;
  #instances = 0;
  process = this.#process();
  stream: Stream | undefined;
  /** First reports that were taken: those with everything, and those that went on. */
  readonly firsts = { whole: 0, resumed: 0, refused: 0 };

  #replica(): Replica {
    return { fleet: new FleetStore({ clock: this.clock }), examples: new Examples(this.clock) };
  }
  #fleet(index: number): FleetStore {
    const replica = this.replicas[index];
    if (replica === undefined) throw new Error('there are two replicas');
    return replica.fleet;
  }
  #process(): Process {
    this.#instances += 1;
    return new Process(`instance-${this.#instances}`, this.clock);
  }

  connect(index: number): void {
    this.leave();
    const replica = this.replicas[index % 2];
    if (replica === undefined) throw new Error('there are two replicas');
    this.#seq += 1n;
    const { instance, baseDigest, reports } = this.process;
    const hello = {
      instance,
      connectionSeq: this.#seq,
      version: '1',
      baseModel: 'tiny',
      baseDigest,
      executionProvider: baseDigest === '' ? '' : 'CPUExecutionProvider',
      maxRank: 8,
    } as unknown as ReadHello;
    const { fleet, examples } = replica;
    const parts = { fleet, examples, counts: noCounts(), clock: this.clock };
    const reached = { reached: noRevision, refused: () => new Map() };
    const reporting = new Reporting(parts, bound, hello, () => reached);
    const { reportsKept: kept, reportLike: like } = reporting.told;
    reports.open(this.#seq, { kept, like });
    this.stream = { replica, connectionSeq: this.#seq, hello, reporting, up: [], isOpenAbove: true, took: 0 };
    this.streams.push(this.stream);
    this.send();
  }

  /** The runtime takes its stream for over; the replica may still read what is under way. */
  leave(): void {
    this.process.reports.close();
    this.stream = undefined;
  }

  restart(): void {
    this.leave();
    this.process = this.#process();
  }

  send(): void {
    if (this.stream === undefined) return;
    const snapshot = this.process.snapshot();
    this.process.isDue = false;
    const report = this.process.reports.next();
    if (report !== undefined)
      this.stream.up.push({ report: Report.decode(Report.encode(report).finish()), snapshot });
  }

  /** The replica reads some of what is under way on a stream, also of one that was replaced. */
  read(stream: Stream | undefined, most: number): void {
    if (stream === undefined) return;
    for (const { report, snapshot } of stream.up.splice(0, most)) {
      if (!stream.isOpenAbove) return;
      stream.took += 1;
      try {
        stream.reporting.report(report);
      } catch (error) {
        expect(error).toMatchObject({ code: 'REPLICA_UNAVAILABLE' });
        expect(error).toBeInstanceOf(AdaptletError);
        this.firsts.refused += 1;
        this.end(stream);
        if (stream === this.stream) this.leave();
        return;
      }
      if (stream.took > 1) continue;
      this.firsts[report.resumes ? 'resumed' : 'whole'] += 1;
      const state = stream.replica.fleet.get(key);
      if (state?.connectionSeq !== stream.connectionSeq) continue;
      expect(plain(state)).toEqual(plain(this.#ifWhole(stream, snapshot)));
    }
  }

  /** The replica sees that a stream is over. */
  end(stream: Stream | undefined): void {
    if (stream === undefined || !stream.isOpenAbove) return;
    stream.isOpenAbove = false;
    stream.replica.fleet.gone(local, key, stream.connectionSeq);
  }

  restartReplica(index: number): void {
    const replica = this.replicas[index % 2];
    if (replica === undefined) return;
    for (const stream of this.streams) if (stream.replica === replica) stream.isOpenAbove = false;
    if (this.stream?.replica === replica) this.leave();
    Object.assign(replica, this.#replica());
    this.#relayed = new RelayedRuntimes(this.#fleet(0), { name: 'relay' });
  }

  /** What the second replica knows goes to the leader, over the wire. */
  relay(): void {
    this.#relayed.take({ message: { $case: 'hello', value: { replica: 'b' } } });
    for (const state of this.#fleet(1).heldBy(local)) {
      const wire = runtimeToWire(state, 'Whole');
      const value = RuntimeReport.decode(RuntimeReport.encode(wire).finish());
      this.#relayed.take({ message: { $case: 'runtime', value } });
    }
  }

  /** The same stream, if its first report had had everything, at a replica that knew nothing. */
  #ifWhole({ hello }: Stream, snapshot: Snapshot): RuntimeState | undefined {
    const fleet = new FleetStore({ clock: this.clock });
    const parts = { fleet, examples: new Examples(this.clock), counts: noCounts(), clock: this.clock };
    const reached = { reached: noRevision, refused: () => new Map() };
    new Reporting(parts, bound, hello, () => reached).report(wholeReport(snapshot));
    return fleet.get(key);
  }
}

/** Without what is not told, and in one order. */
export const plain = (state: RuntimeState | undefined) => {
  if (state === undefined) return undefined;
  const { connectedAt: _, adapters, rollouts, limits, ...rest } = state;
  return {
    ...rest,
    adapters: new Map(adapters),
    limits: limits ?? new Map(),
    rollouts: new Map(
      [...rollouts].map(([name, rollout]) => [
        name,
        { ...rollout, counts: rollout.counts.toSorted((a, b) => a.weight - b.weight) },
      ]),
    ),
  };
};
