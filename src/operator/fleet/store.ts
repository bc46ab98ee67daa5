import { isDeepStrictEqual } from 'node:util';
import type { ObjectKey } from '../../api/names.ts';
import { noRevision } from '../../control/revision.ts';
import type { Clock } from '../../time/clock.ts';
import { scopeOf } from '../objects/scope.ts';
import { isSameDecisive } from './decisive.ts';
import type { AdapterState, Fleet, FleetChange, RolloutState, RuntimeKey, RuntimeState } from './fleet.ts';
import { SharedStates } from './shared.ts';
import { taken } from './taken.ts';
import { type Change, type Kept, type Update, within } from './update.ts';

/** Who tells of a runtime: this replica itself, or one connection of another. */
export type Source = { readonly name: string };

/** The streams of this replica. */
export const local: Source = { name: 'local' };

/** A runtime that no replica has for so long is shown as disconnected. */
export const disconnectedAfterMs = 10_000;
/** A runtime that is away for longer is forgotten; its AdapterRuntime has what is to be remembered. */
const forgetMs = 3_600_000;

type Former = Pick<RuntimeState, 'adapters' | 'rollouts'>;

type Entry = {
  state: RuntimeState & {
    readonly adapters: Map<ObjectKey, AdapterState>;
    readonly rollouts: Map<ObjectKey, RolloutState>;
  };
  /** Reports of the connection that this replica itself took in, all that it knows of it; undefined: others told of it. */
  reports: bigint | undefined;
  /** Of what it says of adapters and rollouts. */
  bytes: number;
  /** Who has it; undefined: nobody. */
  holder: Source | undefined;
  stopGrace: (() => void) | undefined;
};

/** What happened to a runtime of this replica's own streams. */
export type LocalEvent = { readonly key: RuntimeKey; readonly change: FleetChange | 'Opened' | 'Gone' };

const nothing: ReadonlySet<ObjectKey> = new Set();

/**
 * What is known of runtimes, merged from the streams of this replica and what others relay.
 *
 * Guarantees, in whatever order sources tell:
 * - Of two connections of one runtime the higher connectionSeq counts. A lower one counts only when it was opened later
 *   than the one that is over: then the runtime lost its disk.
 * - Only who has a runtime can say that it is gone, and it is shown as disconnected only when nobody has it for 10
 *   seconds: a runtime that moves from one replica to another never is.
 * - Counters are cumulative: telling something twice changes nothing.
 * - What a pod tells of another namespace than its own is left out.
 */
export class FleetStore implements Fleet {
  readonly #clock: Clock;
  readonly #entries = new Map<RuntimeKey, Entry>();
  readonly #shared = new SharedStates();
  readonly #listeners = new Set<(change: FleetChange) => void>();
  readonly #localListeners = new Set<(event: LocalEvent) => void>();

  constructor({ clock }: { readonly clock: Clock }) {
    this.#clock = clock;
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

  /** Runtimes that are connected to this replica. */
  *locals(): Iterable<RuntimeState> {
    for (const { state, holder } of this.#entries.values()) if (holder === local) yield state;
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
    if (opened === undefined) return false;
    if (resumes !== undefined) return this.#resume(source, known, inScope, { opened, resumes });
    if (inScope.change?.whole !== true) return false;
    if (!counts(known, source, inScope, opened)) return false;
    const { update, bytes } = taken(isSame ? known : undefined, inScope);
    const entry = isSame ? known : this.#open(known, update, opened);
    entry.bytes = bytes;
    entry.reports = source === local ? 0n : undefined;
    // The same connection, told anew by a source that reconnected, is no news.
    const connection = !isSame || !known.state.connected;
    entry.stopGrace?.();
    entry.stopGrace = undefined;
    entry.holder = source;
    this.#apply(entry, update, { connection, opened: true, former: known?.state });
    return true;
  }

  /**
   * Reports of an earlier connection of that process whose sum is what is known of the runtime: the connection may go on
   * with what differs from it. Undefined: none that is sure.
   */
  kept({ key, kind, instance, connectionSeq }: Update, info: RuntimeState['info']): Kept | undefined {
    const { state, reports } = this.#entries.get(key) ?? {};
    if (state === undefined || reports === undefined) return undefined;
    const isOfProcess =
      state.kind === kind && state.instance === instance && state.connectionSeq < connectionSeq;
    return isOfProcess && isDeepStrictEqual(state.info, info)
      ? { connectionSeq: state.connectionSeq, count: reports }
      : undefined;
  }

  /** The source no longer has this connection. */
  gone(source: Source, key: RuntimeKey, connectionSeq?: bigint): void {
    const entry = this.#entries.get(key);
    if (entry?.holder !== source) return;
    if (connectionSeq !== undefined && entry.state.connectionSeq !== connectionSeq) return;
    this.#lose(entry);
  }

  /** The source is gone, with everything that it had. */
  lost(source: Source): void {
    for (const entry of this.#entries.values()) if (entry.holder === source) this.#lose(entry);
  }

  close(): void {
    for (const { stopGrace } of this.#entries.values()) stopGrace?.();
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
    known.stopGrace?.();
    known.stopGrace = undefined;
    known.holder = source;
    known.reports = 0n;
    known.state = { ...known.state, instance, connectionSeq, ...opened };
    this.#apply(known, update, { connection: true, opened: true, former: undefined });
    return true;
  }

  #open(known: Entry | undefined, update: Update, opened: NonNullable<Update['opened']>): Entry {
    known?.stopGrace?.();
    const { key, kind, instance, connectionSeq } = update;
    const entry: Entry = {
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
        adapters: new Map(),
        rollouts: new Map(),
        acknowledged: noRevision,
        refused: new Map(),
      },
      reports: undefined,
      bytes: 0,
      holder: undefined,
      stopGrace: undefined,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  #apply(
    entry: Entry,
    update: Update,
    {
      connection,
      opened,
      former,
    }: { readonly connection: boolean; readonly opened: boolean; readonly former: Former | undefined },
  ): void {
    const { state } = entry;
    const touched: Touched = { adapters: new Set(), rollouts: new Set(), decisive: new Set() };
    const { change } = update;
    // Half of a report is none: until all of it is taken in nothing is sure.
    const { reports } = entry;
    entry.reports = undefined;
    if (change !== undefined) merge(entry, change, { former, touched, shared: this.#shared });
    const { disconnectedAt: _, ...rest } = state;
    entry.state = {
      ...rest,
      connected: true,
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
    const told: FleetChange = {
      runtime: update.key,
      scope: scopeOf(state.kind, update.key),
      connection: connection || isLoaded,
      ...touched,
      acknowledged: update.acknowledged !== undefined || update.refused !== undefined,
    };
    this.#tell(told);
    if (entry.holder === local) this.#tellLocal({ key: update.key, change: opened ? 'Opened' : told });
  }

  #lose(entry: Entry): void {
    const { key } = entry.state;
    const wasLocal = entry.holder === local;
    const lostAt = this.#clock.now();
    entry.holder = undefined;
    entry.stopGrace?.();
    entry.stopGrace = this.#clock.after(disconnectedAfterMs, () => {
      entry.stopGrace = undefined;
      entry.state = { ...entry.state, connected: false, disconnectedAt: lostAt };
      this.#tell(changeOf(entry.state, true));
      this.#forget();
    });
    if (wasLocal) this.#tellLocal({ key, change: 'Gone' });
  }

  #forget(): void {
    const before = this.#clock.now() - forgetMs;
    for (const [key, { state }] of this.#entries) {
      if (state.connected || (state.disconnectedAt ?? 0) >= before) continue;
      this.#entries.delete(key);
      // Nothing to look at again: it was away already.
      this.#tell(changeOf(state, false));
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
  adapters: nothing,
  rollouts: nothing,
  decisive: nothing,
  acknowledged: false,
});

/** Whether a connection that a source opens is the one that counts from now on. */
const counts = (
  known: Entry | undefined,
  source: Source,
  { connectionSeq }: Update,
  { connectedAt }: NonNullable<Update['opened']>,
): boolean => {
  if (known === undefined || connectionSeq > known.state.connectionSeq) return true;
  // A stream that is here is nowhere else.
  if (connectionSeq === known.state.connectionSeq) return known.holder !== local || source === local;
  return !known.state.connected && connectedAt > known.state.connectedAt;
};

type Touched = Readonly<Record<'adapters' | 'rollouts' | 'decisive', Set<ObjectKey>>>;

type Merging = {
  readonly touched: Touched;
  /** What was known before; the same object as what is merged into where the connection is the same. */
  readonly former: Former | undefined;
  readonly shared: SharedStates;
};

const merge = ({ state }: Entry, change: Change, { touched, former, shared }: Merging): void => {
  // A whole report says everything: only what is other than before is news.
  const before = change.whole ? former : undefined;
  const adapters = sharedBy(change.adapters, shared.adapter.bind(shared));
  mergeInto(state.adapters, adapters, change, (key) => touched.adapters.add(key), before?.adapters);
  const rollouts = sharedBy(change.rollouts, shared.rollout.bind(shared));
  const gone = { whole: change.whole, gone: change.goneRollouts };
  mergeInto(
    state.rollouts,
    rollouts,
    gone,
    (key, was, now) => {
      touched.rollouts.add(key);
      if (!isSameDecisive(was, now)) touched.decisive.add(key);
    },
    before?.rollouts,
  );
};

const sharedBy = <T>(
  told: ReadonlyMap<ObjectKey, T>,
  share: (key: ObjectKey, value: T) => readonly [ObjectKey, T],
): ReadonlyMap<ObjectKey, T> => new Map([...told].map(([key, value]) => share(key, value)));

const mergeInto = <T>(
  into: Map<ObjectKey, T>,
  changed: ReadonlyMap<ObjectKey, T>,
  { gone, whole }: Pick<Change, 'gone' | 'whole'>,
  touch: (key: ObjectKey, was: T | undefined, now: T | undefined) => void,
  former?: ReadonlyMap<ObjectKey, T>,
): void => {
  for (const [key, was] of former ?? []) if (!changed.has(key)) touch(key, was, undefined);
  const removed = whole ? [...into.keys()].filter((key) => !changed.has(key)) : gone;
  for (const key of removed) {
    const was = into.get(key);
    if (into.delete(key)) touch(key, was, undefined);
  }
  for (const [key, value] of changed) {
    const was = (former ?? into).get(key);
    if (former === undefined || !isDeepStrictEqual(was, value)) touch(key, was, value);
    into.set(key, value);
  }
};

/** Another object once there is something new. */
const withLimits = (state: Entry['state'], told: NonNullable<RuntimeState['limits']>): Entry['state'] => {
  const limits = new Map([...(state.limits ?? []), ...told]);
  const isNews = [...told].some(([name, count]) => state.limits?.get(name) !== count);
  return isNews ? { ...state, limits } : state;
};

const withRemovals = (
  state: Entry['state'],
  held: NonNullable<RuntimeState['removalsHeld']>,
): Entry['state'] => {
  if (held.count > 0) return { ...state, removalsHeld: held };
  const { removalsHeld: _, ...rest } = state;
  return rest;
};
