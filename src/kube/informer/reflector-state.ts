import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeObject } from '../client/object.ts';
import { versionOf } from './cache.ts';

/**
 * Where a reflector is. The states are those of kube-rs' watcher, with waiting and checking added.
 * `seen`: version up to which the cache has the collection; 0 before the first list.
 * `failures`: in a row, for the backoff. Only an event ends the row: an answer that is followed by a failure again and
 * again would else be asked for without a pause.
 */
export type ReflectorState = Listing | Watching | Waiting | Checking;

export type Listing = Counts & {
  readonly at: 'listing';
  /** Where the list goes on, and its version; undefined before its first page. */
  readonly next: { readonly token: string; readonly version: string } | undefined;
};

export type Watching = Counts & {
  readonly at: 'watching';
  /** What this watch has given so far: no answer, an answer, or events. */
  readonly stream: 'asked' | 'open' | 'heard';
};

export type Waiting = Counts & {
  readonly at: 'waiting';
  /** The server's own wish, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  readonly resume: 'list' | 'check' | { readonly page: NonNullable<Listing['next']> };
};

/**
 * Asks how far the server is, with a list of one object, before a watch that broke goes on where it was. A server takes
 * a watch from a version that it does not have (etcd was restored from a backup), and then says nothing: not what is
 * older than that version, nor a bookmark.
 */
export type Checking = Counts & { readonly at: 'checking' };

type Counts = {
  readonly seen: bigint;
  readonly failures: number;
  /** Streams in a row, all from `seen`, that opened and broke before their first event. */
  readonly stuck: number;
};

export type ReflectorInput =
  | {
      readonly type: 'page';
      readonly objects: readonly KubeObject[];
      readonly version: string;
      readonly token: string | undefined;
    }
  | { readonly type: 'opened' }
  | { readonly type: 'put' | 'remove'; readonly object: KubeObject }
  | { readonly type: 'bookmark'; readonly version: string }
  /** The server ended the watch in order. */
  | { readonly type: 'ended' }
  | { readonly type: 'failed'; readonly error: AdaptletError }
  /** Somebody needs to know what there is now, and not when the next event or bookmark says so. */
  | { readonly type: 'refresh' }
  /** An ERROR event: the server cannot go on with this watch. */
  | { readonly type: 'refused'; readonly error: AdaptletError }
  | { readonly type: 'waited' };

/** What the cache is told. */
export type ReflectorAction =
  | { readonly do: 'begin' | 'watching' }
  | { readonly do: 'stage'; readonly objects: readonly KubeObject[] }
  | { readonly do: 'commit' | 'progress'; readonly version: bigint }
  | { readonly do: 'put' | 'remove'; readonly object: KubeObject }
  | { readonly do: 'failed'; readonly error: AdaptletError };

export type Transition = {
  readonly state: ReflectorState;
  readonly actions: readonly ReflectorAction[];
};

export const initialState: ReflectorState = {
  at: 'listing',
  next: undefined,
  seen: 0n,
  failures: 0,
  stuck: 0,
};

/** Streams that break before their first event, until what they would send is taken for the reason. */
const maxStuck = 3;

/** The next state, and what to do on the way. Pure. */
export const transition = (state: ReflectorState, input: ReflectorInput): Transition => {
  switch (state.at) {
    case 'listing':
      if (input.type === 'page') return paged(state, input);
      if (input.type === 'failed') return listFailed(state, input.error);
      break;
    case 'watching':
      return watched(state, input);
    case 'checking':
      if (input.type === 'page') return checked(state, versionOf(input.version));
      if (input.type === 'failed') return waiting(state, input.error, 'check');
      break;
    case 'waiting':
      if (input.type === 'waited') return { state: afterWaiting(state), actions: [] };
      break;
  }
  throw unexpected(state, input);
};

const unexpected = (state: ReflectorState, input: ReflectorInput): Error =>
  new Error(`a reflector that is ${state.at} cannot take ${input.type}`);

const countsOf = ({ seen, failures, stuck }: Counts): Counts => ({ seen, failures, stuck });

const paged = (
  state: Listing,
  { objects, version, token }: Extract<ReflectorInput, { type: 'page' }>,
): Transition => {
  // All pages show the state at the first one's version. Where one does not, watching from the first repeats the rest.
  const listVersion = state.next?.version ?? version;
  const at = versionOf(listVersion);
  if (at < state.seen) return listFailed(state, wentBack(state.seen, at));
  const actions: ReflectorAction[] = [
    ...(state.next === undefined ? [{ do: 'begin' } as const] : []),
    { do: 'stage', objects },
  ];
  if (token !== undefined) {
    return { state: { ...state, next: { token, version: listVersion } }, actions };
  }
  actions.push({ do: 'commit', version: at });
  return { state: { ...countsOf(state), at: 'watching', stream: 'asked', seen: at, stuck: 0 }, actions };
};

/** What was seen is newer than what the server now has: etcd was restored, or this is another cluster. */
const wentBack = (seen: bigint, at: bigint): AdaptletError =>
  new AdaptletError(
    'KUBE_WENT_BACK',
    `the API server went back from version ${seen} to ${at}; what was seen before is kept`,
  );

const listFailed = (state: Listing, error: AdaptletError): Transition => {
  // The token has expired (410, or 400 where the server forgot its key): the list begins again.
  const restart = state.next === undefined || error.code === 'KUBE_GONE' || error.code === 'KUBE_INVALID';
  return waiting(state, error, restart ? 'list' : { page: state.next });
};

const checked = (state: Checking, at: bigint): Transition =>
  at < state.seen
    ? // Another history: what a watch from `seen` on would say does not begin at what was seen.
      waiting(state, wentBack(state.seen, at), 'list')
    : { state: { ...countsOf(state), at: 'watching', stream: 'asked' }, actions: [] };

const waiting = (state: Counts, error: AdaptletError, resume: Waiting['resume']): Transition => ({
  state: {
    ...countsOf(state),
    at: 'waiting',
    failures: state.failures + 1,
    retryAfterMs: error.retryAfterMs,
    resume,
  },
  actions: [{ do: 'failed', error }],
});

const afterWaiting = (state: Waiting): ReflectorState => {
  const counts = countsOf(state);
  if (state.resume === 'check') return { ...counts, at: 'checking' };
  return { ...counts, at: 'listing', next: state.resume === 'list' ? undefined : state.resume.page };
};

const watched = (state: Watching, input: ReflectorInput): Transition => {
  switch (input.type) {
    case 'opened':
      return { state: { ...state, stream: 'open' }, actions: [{ do: 'watching' }] };
    case 'put':
    case 'remove': {
      const version = versionOf(input.object.metadata.resourceVersion);
      return { state: heard(state, version), actions: [{ do: input.type, object: input.object }] };
    }
    case 'bookmark': {
      const version = versionOf(input.version);
      return { state: heard(state, version), actions: [{ do: 'progress', version }] };
    }
    case 'ended':
      // A watch ends after its time; the next one takes up where it was. One that gave nothing would be asked for in a
      // circle: a live server sends at least a bookmark before it ends a watch.
      return state.stream === 'heard'
        ? { state: { ...state, stream: 'asked' }, actions: [] }
        : {
            state: {
              ...countsOf(state),
              at: 'waiting',
              failures: state.failures + 1,
              retryAfterMs: undefined,
              resume: 'check',
            },
            actions: [],
          };
    case 'refused':
      return waiting(state, input.error, 'list');
    case 'refresh':
      return { state: { ...countsOf(state), at: 'listing', next: undefined }, actions: [] };
    case 'failed':
      return watchFailed(state, input.error);
    case 'page':
    case 'waited':
      throw unexpected(state, input);
  }
};

const heard = (state: Watching, version: bigint): Watching => ({
  at: 'watching',
  stream: 'heard',
  seen: version > state.seen ? version : state.seen,
  failures: 0,
  stuck: 0,
});

const watchFailed = (state: Watching, error: AdaptletError): Transition => {
  // The server forgot the version (410), or will never take it.
  if (error.code === 'KUBE_GONE' || error.code === 'KUBE_INVALID') return waiting(state, error, 'list');
  // Connections break; the version is still good. But what is broken in the stream itself would come again.
  const stuck = state.stream === 'open' ? state.stuck + 1 : state.stuck;
  return waiting({ ...state, stuck }, error, stuck >= maxStuck ? 'list' : 'check');
};
