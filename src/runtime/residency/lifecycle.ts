import type { Digest } from '../../api/names.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import type { RetryClass } from '../../errors/define.ts';
import type { CompiledAdapter } from '../compiled/compiled-adapter.ts';

/** Why an adapter is Failed. */
type Failure = {
  readonly code: ErrorCode;
  /** What happened, where, and what to do. */
  readonly message: string;
  readonly retry: RetryClass;
  /** Wall time in milliseconds since the epoch. */
  readonly since: number;
};

type OnDisk = { readonly digest: Digest; readonly storedBytes: number };
type Built = OnDisk & { readonly compiled: CompiledAdapter };
type InRam = Built & { readonly engineName: string; readonly ramBytes: number };

/**
 * Where an adapter is on this node. Only Loaded, Resident and Draining hold RAM of the engine; only Resident serves.
 */
export type State =
  | { readonly kind: 'Remote' }
  | { readonly kind: 'Fetching' }
  | ({ readonly kind: 'Stored' } & OnDisk)
  | ({ readonly kind: 'Compiled' } & Built)
  /** In RAM, not trusted yet. */
  | ({ readonly kind: 'Loaded' } & InRam)
  | ({ readonly kind: 'Resident' } & InRam)
  /** In RAM until its references ran out; no new ones. */
  | ({ readonly kind: 'Draining' } & InRam)
  | { readonly kind: 'Failed'; readonly failure: Failure };

export type StateKind = State['kind'];
/** The states in which the engine holds the adapter. */
export type RamState = Extract<State, InRam>;

export type LifecycleEvent =
  | ({ readonly kind: 'Found' } & OnDisk)
  | { readonly kind: 'FetchStarted' }
  | ({ readonly kind: 'Fetched' } & OnDisk)
  | ({ readonly kind: 'Built' } & Built)
  | { readonly kind: 'Loaded'; readonly engineName: string; readonly ramBytes: number }
  | { readonly kind: 'Passed'; readonly reason: string }
  | { readonly kind: 'DrainStarted'; readonly reason: string }
  | { readonly kind: 'Unloaded'; readonly reason: string }
  | { readonly kind: 'EngineLost' }
  | { readonly kind: 'CompiledLost'; readonly reason: string }
  | { readonly kind: 'ArtifactLost'; readonly reason: string }
  | { readonly kind: 'FetchStopped'; readonly reason: string }
  | { readonly kind: 'Failed'; readonly failure: Failure }
  | { readonly kind: 'Reset'; readonly reason: string };

export type Next =
  | { readonly ok: true; readonly state: State; readonly reason: string }
  /** The event cannot happen in this state: a defect of the caller. */
  | { readonly ok: false; readonly refusal: string };

export const isInRam = (state: State): state is RamState =>
  state.kind === 'Loaded' || state.kind === 'Resident' || state.kind === 'Draining';

/** It needs no download. */
export const isOnDisk = (state: State): state is Extract<State, OnDisk> =>
  state.kind === 'Stored' || state.kind === 'Compiled' || isInRam(state);

const to = (state: State, reason: string): Next => ({ ok: true, state, reason });

const onDisk = ({ digest, storedBytes }: OnDisk): State => ({ kind: 'Stored', digest, storedBytes });
const built = ({ digest, storedBytes, compiled }: Built): State => ({
  kind: 'Compiled',
  digest,
  storedBytes,
  compiled,
});

/** The one place that says which state follows which. Pure. */
export const transition = (state: State, event: LifecycleEvent): Next => {
  const refused: Next = { ok: false, refusal: `${event.kind} cannot happen in ${state.kind}` };
  switch (event.kind) {
    case 'Found':
      // After a restart the artifact is on disk already: no source is asked, so that a node comes back offline.
      return state.kind === 'Remote' ? to(onDisk(event), 'on disk already') : refused;
    case 'FetchStarted':
      // From Failed: a retry; the state says Failed until something is really under way.
      return state.kind === 'Remote' || state.kind === 'Failed'
        ? to({ kind: 'Fetching' }, 'fetch started')
        : refused;
    case 'Fetched':
      return state.kind === 'Fetching' ? to(onDisk(event), 'digest verified') : refused;
    case 'FetchStopped':
      // What was received stays in the store and is resumed by the next fetch.
      return state.kind === 'Fetching' ? to({ kind: 'Remote' }, event.reason) : refused;
    case 'Built':
      // From Failed: a retry of an adapter whose artifact is on disk; it counts as failed until it compiles.
      if (state.kind === 'Failed') return to(built(event), 'compiled');
      return state.kind === 'Stored' && state.digest === event.digest
        ? to(built(event), 'compiled')
        : refused;
    case 'Loaded':
      if (state.kind !== 'Compiled') return refused;
      return to(
        { ...state, kind: 'Loaded', engineName: event.engineName, ramBytes: event.ramBytes },
        'in memory',
      );
    case 'Passed':
      return state.kind === 'Loaded' ? to({ ...state, kind: 'Resident' }, event.reason) : refused;
    case 'DrainStarted':
      return state.kind === 'Resident' ? to({ ...state, kind: 'Draining' }, event.reason) : refused;
    case 'Unloaded':
      // From Loaded: it did not pass, or was removed meanwhile; never served, so it has nothing to drain.
      // Not from Resident: what may be referenced has to drain first.
      return state.kind === 'Draining' || state.kind === 'Loaded' ? to(built(state), event.reason) : refused;
    case 'EngineLost':
      // The engine process took its memory with it: Resident skips Draining, since nothing is referenced any more.
      return isInRam(state) ? to(built(state), 'engine process ended') : refused;
    case 'CompiledLost':
      return state.kind === 'Compiled' ? to(onDisk(state), event.reason) : refused;
    case 'ArtifactLost':
      // Quarantined because it is corrupt, or collected. What is in RAM is a copy and goes on serving.
      return state.kind === 'Stored' || state.kind === 'Compiled'
        ? to({ kind: 'Remote' }, event.reason)
        : refused;
    case 'Failed':
      // Not from RAM: Failed holds none, so what does not pass is unloaded first.
      return isInRam(state)
        ? refused
        : to({ kind: 'Failed', failure: event.failure }, `${event.failure.code}: ${event.failure.message}`);
    case 'Reset':
      break;
  }
  // The resource changed or someone asked for a retry: the old verdict no longer binds.
  return state.kind === 'Failed' ? to({ kind: 'Remote' }, event.reason) : refused;
};
