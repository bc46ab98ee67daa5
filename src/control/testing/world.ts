import { expect } from 'vitest';
import { resourceKey } from '../../plan/resources.ts';
import { FakeClock } from '../../time/fake-clock.ts';
import { noRevision, type Revision } from '../revision.ts';
import { type HeldSaid, Sender } from '../sender.ts';
import type { Refusal } from '../wire.ts';
import { ApiModel, clientNames, collections, nameOf, writeVariant } from './api-model.ts';
import { isBelow, type Mishap, type Parcel, RuntimeModel } from './runtime-model.ts';

/** One thing that happens; the numbers say to what and how, whatever they are. */
export type Step = { readonly what: (typeof happenings)[number]; readonly n: number; readonly v: number };

/** Each as often as it should be drawn. */
export const happenings = [
  ...Array.from({ length: 8 }, () => 'Write' as const),
  ...(['Delete', 'Invalidate', 'DeleteAll', 'Bookmark'] as const),
  ...Array.from({ length: 12 }, () => 'CatchUp' as const),
  ...Array.from({ length: 12 }, () => 'Connect' as const),
  ...Array.from({ length: 4 }, () => 'Send' as const),
  ...Array.from({ length: 18 }, () => 'Up' as const),
  ...Array.from({ length: 24 }, () => 'Down' as const),
  ...(['Silence', 'RestartReplica', 'Cut', 'HalfOpen', 'RestartRuntime', 'Corrupt', 'Damage'] as const),
  ...(['Tick', 'Tick', 'Confirm', 'Confirm', 'Gate', 'Subscribe', 'Subscribe'] as const),
] as const;

type Replica = {
  revision: Revision;
  isSilent: boolean;
  /** Of the last stream of each. */
  readonly senders: Map<RuntimeModel, Sender>;
};

type Up =
  | {
      readonly kind: 'Hello';
      readonly held: HeldSaid;
      readonly revision: Revision;
      readonly names: readonly string[];
    }
  | { readonly kind: 'Held'; readonly held: ReadonlyMap<string, string> }
  | { readonly kind: 'Ack'; readonly nonce: bigint; readonly refused: readonly Refusal[] }
  | { readonly kind: 'Subscribe'; readonly names: readonly string[] };

type Down =
  | { readonly kind: 'Welcome' }
  | { readonly kind: 'HeldWanted' }
  | { readonly kind: 'Put' | 'Remove'; readonly index: number; readonly parcel: Parcel }
  | { readonly kind: 'Commit'; readonly parcel: Parcel };

/** Each end knows by itself whether it is open: a stream can be half-open. Each direction keeps its order. */
type Stream = {
  readonly runtime: RuntimeModel;
  readonly replica: Replica;
  readonly up: Up[];
  readonly down: Down[];
  sender: Sender | undefined;
  isOpenAbove: boolean;
  isOpenBelow: boolean;
};

/** What was sent, in all. */
export type Counts = { puts: number; removes: number; commits: number };

/** An API server, three replicas with caches that lag, three runtimes, and everything between them that can fail. */
export class StreamWorld {
  readonly clock = new FakeClock();
  readonly api = new ApiModel();
  readonly runtimes = [0, 1, 2].map((index) => new RuntimeModel(this.api, this.clock, index));
  readonly counts: Counts = { puts: 0, removes: 0, commits: 0 };
  readonly #replicas: Replica[] = [0, 1, 2].map(() => ({
    revision: noRevision,
    isSilent: false,
    senders: new Map(),
  }));
  #streams: Stream[] = [];
  readonly #confirmed = new Map<RuntimeModel, string>();
  /** Keys that may not be removed now: those that end in this letter. */
  #gate = '';

  constructor() {
    for (let index = 0; index < 6; index += 1) writeVariant(this.api, 'adapters', index, 1);
    for (const collection of ['rollouts', 'routes'] as const) writeVariant(this.api, collection, 0, 1);
  }

  step({ what, n, v }: Step): void {
    const runtime = at(this.runtimes, n);
    const replica = at(this.#replicas, n);
    const collection = at(collections, v);
    switch (what) {
      case 'Write':
        writeVariant(this.api, collection, n, v);
        break;
      case 'Delete':
        this.api.write(collection, nameOf(collection, n), undefined);
        break;
      case 'Invalidate':
        this.api.write(collection, nameOf(collection, n), 'Invalid');
        break;
      case 'DeleteAll':
        this.api.deleteAll(collection);
        break;
      case 'Bookmark':
        this.api.bookmark();
        break;
      case 'CatchUp':
        this.#catchUp(replica, v);
        if (v % 3 > 0) this.#sendAll(replica);
        break;
      case 'Silence':
        replica.isSilent = v % 4 === 0;
        break;
      case 'RestartReplica':
        this.#restartReplica(n, v);
        break;
      case 'Connect':
        // It notices at last that nobody is there, or takes somebody for gone who is not.
        if (this.#streamOf(runtime)?.isOpenAbove !== true || v % 20 === 0) {
          this.#connect(runtime, at(this.#replicas, v));
        }
        break;
      case 'Cut':
        this.#cut(v);
        break;
      case 'HalfOpen':
        this.#closeBelow(runtime);
        break;
      case 'Send':
        this.#sendAll(replica);
        break;
      case 'Up':
        this.#upAll(this.#streamOf(runtime), v % 4 > 0);
        break;
      case 'Down':
        this.#downTo(this.#streamOf(runtime), v % 4 > 0 ? 1_000 : 1 + (v % 3), mishapOf(v));
        break;
      case 'RestartRuntime':
        this.#restartRuntime(runtime);
        break;
      case 'Corrupt':
        runtime.corrupt = true;
        break;
      case 'Damage':
        runtime.damage(v);
        break;
      case 'Tick':
        this.#tick(at([1_000, 7_000, 65_000, 300_000, 601_000], v));
        break;
      case 'Confirm':
        this.#confirmed.set(runtime, runtime.receiver.removals?.fingerprint ?? '');
        break;
      case 'Gate':
        this.#gate = at(['', 'a', 'b', '0'], v);
        break;
      case 'Subscribe':
        if (runtime.subscriptions.use(at(clientNames, v))) {
          this.#streamOf(runtime)?.up.push({ kind: 'Subscribe', names: runtime.subscriptions.names });
        }
        break;
    }
  }

  /** Nothing happens any more, and everything works: all of it comes to its end. */
  settle(): void {
    this.#gate = '';
    for (const replica of this.#replicas) {
      replica.isSilent = false;
      replica.revision = this.api.newest;
    }
    for (const [index, runtime] of this.runtimes.entries()) {
      runtime.corrupt = false;
      this.#connect(runtime, at(this.#replicas, index));
    }
    this.#streams = this.#streams.filter((stream) => stream.isOpenBelow);
    this.#exchange();
    this.#tick(600_000);
    this.#exchange();
    for (const stream of this.#streams) expect(stream.isOpenBelow).toBe(true);
  }

  /** Resources that are refused now, over all streams. */
  get refused(): number {
    return this.#streams.reduce((sum, { sender }) => sum + (sender?.refused.size ?? 0), 0);
  }

  /** Messages go until there are none. */
  #exchange(): void {
    for (let round = 0; round < 1_000; round += 1) {
      for (const stream of this.#streams) this.#send(stream);
      if (this.#streams.every(({ up, down }) => up.length + down.length === 0)) return;
      for (const stream of this.#streams) {
        while (stream.up.length > 0) this.#up(stream);
        while (stream.down.length > 0) this.#down(stream, 'None');
      }
    }
    expect.fail('messages go on for ever');
  }

  #streamOf(runtime: RuntimeModel): Stream | undefined {
    return this.#streams.find((stream) => stream.runtime === runtime && stream.isOpenBelow);
  }

  #catchUp(replica: Replica, v: number): void {
    const collection = at([...collections, 'runtimes'] as const, v >> 2);
    const now = replica.revision[collection];
    const next = collection === 'runtimes' || v % 4 === 0 ? undefined : this.api.eventAfter(collection, now);
    replica.revision = { ...replica.revision, [collection]: next ?? this.api.newest[collection] };
    if (v % 5 === 0) replica.revision = this.api.newest;
  }

  /** A new process lists, from a server that may be behind. */
  #restartReplica(n: number, v: number): void {
    const lag = (part: bigint): bigint => (part * BigInt(v % 4)) / 3n;
    const { adapters, routes, ...others } = this.api.newest;
    const replica = at(this.#replicas, n);
    replica.senders.clear();
    for (const stream of this.#streams) if (stream.replica === replica) stream.isOpenAbove = false;
    replica.revision = { ...others, adapters: lag(adapters), routes: lag(routes) };
  }

  #connect(runtime: RuntimeModel, replica: Replica): void {
    this.#closeBelow(runtime);
    const hello = runtime.hello();
    // One is of an earlier version, which says the list.
    const held = runtime.index === 2 ? runtime.list() : { hash: runtime.receiver.heldHash() };
    const up: Up[] = [{ kind: 'Hello', held, revision: hello.revision, names: runtime.subscriptions.names }];
    this.#streams = this.#streams.filter((stream) => stream.isOpenAbove);
    this.#streams.push({
      runtime,
      replica,
      up,
      down: [],
      sender: undefined,
      isOpenAbove: true,
      isOpenBelow: true,
    });
  }

  #closeBelow(runtime: RuntimeModel): void {
    const stream = this.#streamOf(runtime);
    if (stream === undefined) return;
    stream.isOpenBelow = false;
    runtime.receiver.broken();
  }

  #cut(v: number): void {
    const stream = at(this.#streams, v);
    if (stream === undefined) return;
    stream.isOpenAbove = false;
    if (stream.isOpenBelow) this.#closeBelow(stream.runtime);
    this.#streams = this.#streams.filter((one) => one !== stream);
  }

  #restartRuntime(runtime: RuntimeModel): void {
    this.#closeBelow(runtime);
    runtime.restart();
  }

  #tick(ms: number): void {
    this.clock.advance(ms);
    for (const runtime of this.runtimes) runtime.due();
  }

  #send({ sender, replica, runtime, down, isOpenAbove }: Stream): void {
    if (sender === undefined || replica.isSilent || !isOpenAbove) return;
    const { plan, withheld } = this.api.compiledAt(replica.revision, runtime.index);
    const gated = new Set<string>();
    const gate = this.#gate;
    const mayRemove = (key: string): boolean => {
      const may = gate === '' || !key.endsWith(gate);
      if (!may) gated.add(key);
      return may;
    };
    const confirmedRemovals = this.#confirmed.get(runtime) ?? '';
    const batch = sender.next({ plan, withheld, revision: replica.revision, mayRemove, confirmedRemovals });
    if (sender.asks() !== undefined) down.push({ kind: 'HeldWanted' });
    if (batch === undefined) return;
    const touched = [...batch.puts.map(resourceKey), ...batch.removes];
    expect(touched.filter((key) => withheld.has(key))).toEqual([]);
    expect(batch.removes.filter((key) => gated.has(key))).toEqual([]);
    const parcel = { batch, gated };
    for (const index of batch.puts.keys()) down.push({ kind: 'Put', index, parcel });
    for (const index of batch.removes.keys()) down.push({ kind: 'Remove', index, parcel });
    down.push({ kind: 'Commit', parcel });
    this.counts.puts += batch.puts.length;
    this.counts.removes += batch.removes.length;
    this.counts.commits += 1;
  }

  #sendAll(replica: Replica): void {
    for (const stream of this.#streams) if (stream.replica === replica) this.#send(stream);
  }

  #upAll(stream: Stream | undefined, answers: boolean): void {
    if (stream === undefined) return;
    while (stream.up.length > 0) this.#up(stream);
    if (answers) this.#send(stream);
  }

  /** Some messages, at most to the next commit. */
  #downTo(stream: Stream | undefined, most: number, mishap: Mishap): void {
    for (let count = 0; count < most; count += 1) {
      const isLast = stream?.down[0]?.kind === 'Commit';
      this.#down(stream, mishap);
      if (isLast) return;
    }
  }

  #up(stream: Stream | undefined): void {
    const message = stream?.up.shift();
    if (stream === undefined || message === undefined || !stream.isOpenAbove) return;
    if (message.kind === 'Hello') {
      const { held, revision, names } = message;
      const { replica, runtime } = stream;
      const former = replica.senders.get(runtime)?.held;
      stream.sender = new Sender({ held, revision, subscriptions: names, former });
      replica.senders.set(runtime, stream.sender);
      stream.down.push({ kind: 'Welcome' });
    } else if (message.kind === 'Held') expect(stream.sender?.listed(message.held)).toBe(true);
    else if (message.kind === 'Subscribe') stream.sender?.subscribe(message.names);
    else {
      expect(stream.sender?.acknowledged(message.nonce, message.refused)).toBe(true);
      const reached = stream.sender?.reached ?? noRevision;
      expect(isBelow(stream.runtime.reached, reached), 'what is acknowledged is in force').toBe(false);
    }
  }

  #down(stream: Stream | undefined, mishap: Mishap = 'None'): void {
    const message = stream?.down.shift();
    if (stream === undefined || message === undefined) return;
    const { runtime } = stream;
    if (message.kind === 'Welcome') runtime.receiver.welcome('cluster');
    else if (message.kind === 'HeldWanted') stream.up.push({ kind: 'Held', held: runtime.list() });
    else if (message.kind === 'Put') runtime.put(at(message.parcel.batch.puts, message.index));
    else if (message.kind === 'Remove')
      runtime.receiver.remove(at(message.parcel.batch.removes, message.index));
    else {
      const answer = runtime.commit(message.parcel, mishap);
      runtime.subscriptions.forget(message.parcel.batch.unknown);
      if (answer === 'Crashed') this.#restartRuntime(runtime);
      else if (answer === 'Rejected') this.#closeBelow(runtime);
      else stream.up.push({ kind: 'Ack', nonce: message.parcel.batch.commit.nonce, refused: answer });
    }
  }
}

const mishapOf = (v: number): Mishap => {
  if (v % 16 === 1) return 'BeforePersist';
  if (v % 16 === 2) return 'BeforeAck';
  return v % 16 === 3 ? 'DiskRefuses' : 'None';
};

/** Counts round. Undefined only of an empty list, which has nothing that a step could be about. */
const at = <T>(list: readonly T[], n: number): T => list[n % list.length] as T;
