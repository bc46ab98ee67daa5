import { isDeepStrictEqual } from 'node:util';
import type { ObjectKey } from '../../api/names.ts';
import { noRevision } from '../../control/revision.ts';
import type { Clock } from '../../time/clock.ts';
import { scopeOf } from '../objects/scope.ts';
import { Absences } from './absences.ts';
import { AdapterTable } from './adapter-table.ts';
import { Cells } from './cells.ts';
import type { Fleet, FleetChange, RuntimeKey, RuntimeState } from './fleet.ts';
import {
  differenceOf,
  type Former,
  merge,
  nothingTouched,
  type Reported,
  type Touched,
  withLimits,
  withRemovals,
} from './merge.ts';
import { SharedRollouts } from './shared-rollouts.ts';
import { taken } from './taken.ts';
import { isSameProcess, type Kept, type Update, within } from './update.ts';

/** Who tells of a runtime: this replica itself, or one connection of another. */
export type Source = { readonly name: string };

/** The streams of this replica. */
export const local: Source = { name: 'local' };

/** A runtime that is away for longer is forgotten; its AdapterRuntime has what is to be remembered. */
const forgetMs = 3_600_000;

type Entry = {
  state: RuntimeState & Reported;
  /** Reports of the connection that this replica itself took in, all that it knows of it; undefined: others told of it. */
  reports: bigint | undefined;
  /** Of what it says of adapters and rollouts. */
  bytes: number;
  /** Who has it; undefined: nobody. */
  holder: Source | undefined;
  /**
   * A connection with a lower connectionSeq that was opened later: the runtime may have lost its disk while the stream of
   * before hangs. It counts once that is over, and nobody is told of it before.
   */
  rival: Entry | undefined;
};

/** What was known before an update. */
type Before = Former & Pick<RuntimeState, 'ready'>;

/** What happened to a runtime of this replica's own streams. */
export type LocalEvent = { readonly key: RuntimeKey; readonly change: FleetChange | 'Opened' | 'Gone' };

const nothing: ReadonlySet<ObjectKey> = new Set();

/**
 * What is known of runtimes, merged from the streams of this replica and what others relay.
 *
 * Guarantees, in whatever order sources tell:
 * - Of two connections of one runtime the higher connectionSeq counts. A lower one that was opened later counts as soon as
 *   nobody has the other one: then the runtime lost its disk.
 * - Only who has a runtime can say that it is gone, and it is shown as disconnected only when nobody has it for 10
 *   seconds, or longer where many come back (absences.ts): a runtime that moves from one replica to another never is.
 * - Counters are cumulative: telling something twice changes nothing.
 * - What a pod tells of another namespace than its own is left out.
 */
export class FleetStore implements Fleet {
  readonly #clock: Clock;
  readonly #entries = new Map<RuntimeKey, Entry>();
  readonly #cells = new Cells();
  readonly #shared = new SharedRollouts();
  readonly #absences: Absences;
  readonly #listeners = new Set<(change: FleetChange) => void>();
  readonly #localListeners = new Set<(event: LocalEvent) => void>();

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
    this.#absences = new Absences(clock, () => this.#connected());
  }

  get(key: RuntimeKey): RuntimeState | undefined {
    return this.#entries.get(key)?.state;
  }
  *all(): Iterable<RuntimeState> {
    for (const { state } of this.#entries.values()) yield state;
  }
  onChange(listener: (change: FleetChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Runtimes that the source has. */
  *heldBy(source: Source): Iterable<RuntimeState> {
    for (const { state, holder } of this.#entries.values()) if (holder === source) yield state;
  }
  /** What the streams of this replica told, for a relay. The result ends it. */
  onLocal(listener: (event: LocalEvent) => void): () => void {
    this.#localListeners.add(listener);
    return () => void this.#localListeners.delete(listener);
  }

  /**
   * Takes in an update. False: it is about a connection that does not count, or that was never opened; one begins with
   * everything that the runtime says.
   * @throws HELLO_INVALID when the runtime would have more entries than anyone has; then nothing of it is taken in
   */
  update(source: Source, told: Update): boolean {
    const inScope = within(scopeOf(told.kind, told.key), told);
    const known = this.#entries.get(inScope.key);
    const isSame = known !== undefined && known.state.connectionSeq === inScope.connectionSeq;
    if (isSame && known.holder === source) {
      const more = { connection: false, opened: false, former: known.state };
      const { update, bytes } = taken(known, inScope);
      known.bytes = bytes;
      this.#apply(known, update, more);
      return true;
    }
    const { opened, resumes } = inScope;
    if (opened === undefined) {
      this.#hearRival(source, known?.rival, inScope);
      return false;
    }
    if (resumes !== undefined) return this.#resume(source, known, inScope, { opened, resumes });
    if (inScope.change?.whole !== true) return false;
    if (known !== undefined && !counts(known, source, inScope, opened)) {
      this.#openRival(source, known, inScope, opened);
      return false;
    }
    const { update, bytes } = taken(isSame ? known : undefined, inScope);
    const goesOn = known !== undefined && isSameProcess(known.state, { ...inScope, ...opened });
    const connection = !goesOn || !known.state.connected;
    const entry = isSame ? known : this.#open(known, update, opened);
    entry.bytes = bytes;
    entry.reports = source === local ? 0n : undefined;
    this.#absences.end(update.key, goesOn);
    entry.holder = source;
    this.#apply(entry, update, { connection, opened: true, former: known?.state });
    if (known !== undefined && known !== entry && known !== entry.rival) known.state.adapters.clear();
    return true;
  }

  /**
   * Reports of an earlier connection of that process whose sum is what is known of the runtime: the connection may go on
   * with what differs from it. Undefined: none that is sure.
   */
  kept({ key, kind, instance, connectionSeq }: Update, info: RuntimeState['info']): Kept | undefined {
    const { state, reports } = this.#entries.get(key) ?? {};
    if (state === undefined || reports === undefined) return undefined;
    return state.connectionSeq < connectionSeq && isSameProcess(state, { kind, instance, info })
      ? { connectionSeq: state.connectionSeq, count: reports }
      : undefined;
  }

  /** The source no longer has this connection. */
  gone(source: Source, key: RuntimeKey, connectionSeq?: bigint): void {
    const entry = this.#entries.get(key);
    const isIt = (one: Entry | undefined): one is Entry =>
      one?.holder === source && (connectionSeq ?? one.state.connectionSeq) === one.state.connectionSeq;
    if (isIt(entry?.rival)) setRival(entry, undefined);
    if (isIt(entry)) this.#lose(entry);
  }

  /** The source is gone, with everything that it had. */
  lost(source: Source): void {
    for (const entry of this.#entries.values()) {
      if (entry.rival?.holder === source) setRival(entry, undefined);
      if (entry.holder === source) this.#lose(entry);
    }
  }

  close(): void {
    this.#absences.close();
    this.#listeners.clear();
    this.#localListeners.clear();
  }

  /** The connection begins with what is known from the one before. False: that is something else by now. */
  #resume(
    source: Source,
    known: Entry | undefined,
    told: Update,
    { opened, resumes }: Required<Pick<Update, 'opened' | 'resumes'>>,
  ): boolean {
    const { instance, connectionSeq } = told;
    const kept = source === local ? this.kept(told, opened.info) : undefined;
    if (known === undefined || !isDeepStrictEqual(kept, resumes)) return false;
    const { update, bytes } = taken(known, told);
    known.bytes = bytes;
    this.#absences.end(told.key, true);
    known.holder = source;
    known.reports = 0n;
    const connection = !known.state.connected;
    known.state = { ...known.state, instance, connectionSeq, ...opened };
    this.#apply(known, update, { connection, opened: true, former: undefined });
    return true;
  }

  /** How many are not shown as disconnected. */
  #connected(): number {
    let connected = 0;
    for (const { state } of this.#entries.values()) if (state.connected) connected += 1;
    return connected;
  }

  #open(known: Entry | undefined, update: Update, opened: NonNullable<Update['opened']>): Entry {
    const entry = this.#entryOf(update, opened);
    const isLater = (one: Entry | undefined): boolean =>
      one?.holder !== undefined && one.state.connectedAt > opened.connectedAt;
    // The one of before is over, or it is the rival of this one.
    if (isLater(known)) entry.rival = known;
    else if (known !== undefined && isLater(known.rival))
      [entry.rival, known.rival] = [known.rival, undefined];
    setRival(known, undefined);
    this.#entries.set(update.key, entry);
    return entry;
  }

  /** Keeps what a connection says that does not count now. */
  #openRival(source: Source, known: Entry, told: Update, opened: NonNullable<Update['opened']>): void {
    const { connectedAt } = known.rival?.state ?? known.state;
    const isLater = opened.connectedAt > known.state.connectedAt && opened.connectedAt >= connectedAt;
    if (!isLater) return;
    const { update, bytes } = taken(undefined, told);
    const rival = this.#entryOf(update, opened);
    rival.holder = source;
    rival.bytes = bytes;
    this.#take(rival, update, undefined);
    setRival(known, rival);
  }

  #hearRival(source: Source, rival: Entry | undefined, told: Update): void {
    if (rival?.holder !== source || rival.state.connectionSeq !== told.connectionSeq) return;
    const { update, bytes } = taken(rival, told);
    rival.bytes = bytes;
    this.#take(rival, update, rival.state);
  }

  /** Nobody has the connection that counted: the rival counts from now on. */
  #promote(entry: Entry, rival: Entry): void {
    const { key } = entry.state;
    entry.rival = undefined;
    this.#entries.set(key, rival);
    const touched = differenceOf(entry.state, rival.state);
    entry.state.adapters.clear();
    this.#tell({ ...changeOf(rival.state, true), ...touched, acknowledged: true });
    if (rival.holder === local) this.#tellLocal({ key, change: 'Opened' });
  }

  #entryOf(update: Update, opened: NonNullable<Update['opened']>): Entry {
    const { key, kind, instance, connectionSeq } = update;
    return {
      state: {
        key,
        kind,
        instance,
        connectionSeq,
        ...opened,
        connected: true,
        ready: false,
        message: '',
        memory: { budgetBytes: 0, usedBytes: 0 },
        disk: { budgetBytes: 0, usedBytes: 0 },
        adapters: new AdapterTable(this.#cells),
        rollouts: new Map(),
        acknowledged: noRevision,
        refused: new Map(),
      },
      reports: undefined,
      bytes: 0,
      holder: undefined,
      rival: undefined,
    };
  }

  #apply(
    entry: Entry,
    update: Update,
    {
      connection,
      opened,
      former,
    }: { readonly connection: boolean; readonly opened: boolean; readonly former: Before | undefined },
  ): void {
    const wasReady = (former ?? entry.state).ready;
    const { isLoaded, ...touched } = this.#take(entry, update, former);
    const told: FleetChange = {
      runtime: update.key,
      scope: scopeOf(entry.state.kind, update.key),
      connection: connection || isLoaded || entry.state.ready !== wasReady,
      opened,
      ...touched,
      acknowledged: update.acknowledged !== undefined || update.refused !== undefined,
    };
    this.#tell(told);
    if (entry.holder === local) this.#tellLocal({ key: update.key, change: opened ? 'Opened' : told });
  }

  /** What was touched, and whether the base model was loaded. */
  #take(entry: Entry, update: Update, former: Former | undefined): Touched & { readonly isLoaded: boolean } {
    const { state } = entry;
    const touched = nothingTouched();
    const { change } = update;
    // Half of a report is none: until all of it is taken in nothing is sure.
    const { reports } = entry;
    entry.reports = undefined;
    const merging = { former, touched, shared: this.#shared };
    const classifiers = change === undefined ? state.classifiers : merge(state, change, merging);
    const { disconnectedAt: _, ...rest } = state;
    entry.state = {
      ...rest,
      connected: true,
      classifiers,
      ...(change?.memory === undefined ? {} : { memory: change.memory }),
      ...(change?.disk === undefined ? {} : { disk: change.disk }),
      ...(change?.ready === undefined ? {} : { ready: change.ready.ok, message: change.ready.message }),
      ...(update.acknowledged === undefined ? {} : { acknowledged: update.acknowledged }),
      ...(update.refused === undefined ? {} : { refused: update.refused }),
    };
    const isLoaded = change?.loaded !== undefined && change.loaded.baseDigest !== entry.state.info.baseDigest;
    if (change?.loaded !== undefined)
      entry.state = { ...entry.state, info: { ...entry.state.info, ...change.loaded } };
    if (change?.model !== undefined) entry.state = { ...entry.state, model: change.model };
    if (change?.limits !== undefined) entry.state = withLimits(entry.state, change.limits);
    if (change?.removalsHeld !== undefined) entry.state = withRemovals(entry.state, change.removalsHeld);
    if (reports !== undefined) entry.reports = change === undefined ? reports : reports + 1n;
    return { ...touched, isLoaded };
  }

  #lose(entry: Entry): void {
    const { key } = entry.state;
    const lostAt = this.#clock.now();
    if (entry.holder === local) this.#tellLocal({ key, change: 'Gone' });
    entry.holder = undefined;
    if (entry.rival !== undefined) {
      this.#promote(entry, entry.rival);
      return;
    }
    this.#absences.begin(key, () => {
      entry.state = { ...entry.state, connected: false, disconnectedAt: lostAt };
      this.#tell(changeOf(entry.state, true));
      this.#forget();
    });
  }

  #forget(): void {
    const before = this.#clock.now() - forgetMs;
    for (const [key, { state }] of this.#entries) {
      if (state.connected || (state.disconnectedAt ?? 0) >= before) continue;
      this.#entries.delete(key);
      // It was away already, but how large adapters are was still known from it.
      const adapters = new Set(state.adapters.keys());
      state.adapters.clear();
      this.#tell({ ...changeOf(state, false), adapters });
    }
  }

  #tell(change: FleetChange): void {
    for (const listener of this.#listeners) listener(change);
  }
  #tellLocal(event: LocalEvent): void {
    for (const listener of this.#localListeners) listener(event);
  }
}

const changeOf = ({ key, kind }: RuntimeState, connection: boolean): FleetChange => ({
  runtime: key,
  scope: scopeOf(kind, key),
  connection,
  opened: false,
  adapters: nothing,
  rollouts: nothing,
  decisive: nothing,
  routes: nothing,
  acknowledged: false,
});

/** Whether a connection that a source opens is the one that counts from now on. */
const counts = (
  known: Entry,
  source: Source,
  { connectionSeq }: Update,
  { connectedAt }: NonNullable<Update['opened']>,
): boolean => {
  if (connectionSeq > known.state.connectionSeq) return true;
  // A stream that is here is nowhere else.
  if (connectionSeq === known.state.connectionSeq) return known.holder !== local || source === local;
  // Who says so has let go of the other one, or nobody has it.
  const isOver = known.holder === undefined || known.holder === source;
  return isOver && connectedAt > known.state.connectedAt;
};

const setRival = (entry: Entry | undefined, rival: Entry | undefined): void => {
  if (entry === undefined) return;
  entry.rival?.state.adapters.clear();
  entry.rival = rival;
};
