import type { Log } from '../../telemetry/log.ts';
import { backoffMs } from '../../time/backoff.ts';
import type { Clock } from '../../time/clock.ts';
import type { KubeApi } from '../client/api.ts';
import { unavailable } from '../client/errors.ts';
import { pathOf, type ResourceType } from '../client/object.ts';
import type { ObjectCache } from './cache.ts';
import {
  initialState,
  type ReflectorAction,
  type ReflectorInput,
  type ReflectorState,
  transition,
  type Waiting,
  type Watching,
} from './reflector-state.ts';
import { inputOfError, inputOfEvent, inputOfPage } from './reflector-wire.ts';

export type ReflectorOptions<T> = {
  readonly api: KubeApi;
  readonly type: ResourceType;
  /** Undefined: of all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  /** As the kind knows it: `metadata.name=sql` of one object, `spec.unschedulable=true`. */
  readonly fieldSelector?: string;
  /** Objects come without spec and status: of a Node that is a hundredth. */
  readonly metadataOnly?: boolean;
  readonly cache: ObjectCache<T>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Log;
  readonly timing?: Partial<ReflectorTiming>;
};

export type ReflectorTiming = {
  /** Objects per page of a list. */
  readonly pageSize: number;
  /** Milliseconds of silence after which a watch counts as dead: two bookmarks did not come. */
  readonly silentMs: number;
  /** Milliseconds for a check: one object is little, and a connection that is dead costs no more than this. */
  readonly checkMs: number;
  readonly firstDelayMs: number;
  readonly maxDelayMs: number;
};

const defaultTiming: ReflectorTiming = {
  pageSize: 500,
  silentMs: 130_000,
  checkMs: 10_000,
  firstDelayMs: 250,
  maxDelayMs: 30_000,
};

/** Seconds after which the server ends a watch, at random so that not all end together. */
const watchSeconds = { min: 240, max: 480 };
/** Milliseconds for which a server's Retry-After is obeyed at most. */
const maxRetryAfterMs = 60_000;

/**
 * Keeps a cache equal to a collection of the API server until the signal fires: lists, watches, and begins again where
 * a watch cannot go on. Never gives up, and never takes a failure for an empty collection.
 *
 * Lists are read in pages and from etcd's latest state (no resourceVersion: 0 would allow any older one). Streaming
 * lists (sendInitialEvents) would spare the server memory, but not every server has them, and the cache takes over a
 * list as a whole either way.
 */
export class Reflector<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #timing: ReflectorTiming;
  readonly #signal: AbortSignal;
  readonly #path: string;
  #state: ReflectorState = initialState;
  /** Of the present watch. */
  #leave: AbortController | undefined;

  constructor(options: ReflectorOptions<T>, signal: AbortSignal) {
    this.#options = options;
    this.#timing = { ...defaultTiming, ...options.timing };
    this.#signal = signal;
    this.#path = pathOf(options.type, options.namespace);
  }

  /** Runs until the signal fires. */
  async run(): Promise<void> {
    while (!this.#signal.aborted) await this.#step();
  }

  /** Lists anew, now: a watch that is quiet does not say how far it has seen before its next bookmark. */
  refresh(): void {
    if (this.#state.at !== 'watching' || this.#state.stream === 'asked') return;
    this.#take({ type: 'refresh' });
    this.#leave?.abort();
  }

  async #step(): Promise<void> {
    switch (this.#state.at) {
      case 'listing':
        return await this.#readPage(this.#timing.pageSize, this.#state.next?.token);
      case 'checking':
        return await this.#check();
      case 'watching':
        return await this.#watch(this.#state);
      case 'waiting':
        return await this.#wait(this.#state);
    }
  }

  get #call() {
    return { method: 'GET', path: this.#path };
  }
  get #selector(): Readonly<Record<string, string>> {
    const { labelSelector, fieldSelector } = this.#options;
    return {
      ...(labelSelector === undefined ? {} : { labelSelector }),
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
    };
  }
  /** https://kubernetes.io/docs/reference/using-api/api-concepts/#metadata-only-fetches */
  #accept(kind: 'PartialObjectMetadata' | 'PartialObjectMetadataList'): { readonly accept?: string } {
    return this.#options.metadataOnly === true
      ? { accept: `application/json;as=${kind};g=meta.k8s.io;v=v1` }
      : {};
  }

  async #check(): Promise<void> {
    const { checkMs } = this.#timing;
    const deadline = new AbortController();
    const cancel = this.#options.clock.after(checkMs, () => {
      deadline.abort(unavailable(this.#call, `no answer within ${checkMs} ms`));
    });
    try {
      await this.#readPage(1, undefined, AbortSignal.any([this.#signal, deadline.signal]));
    } finally {
      cancel();
    }
  }

  async #readPage(limit: number, token?: string, signal = this.#signal): Promise<void> {
    const { api, type } = this.#options;
    let input: ReflectorInput;
    try {
      const body = await api.request({
        method: 'GET',
        path: this.#path,
        query: {
          ...this.#selector,
          limit: String(limit),
          ...(token === undefined ? {} : { continue: token }),
        },
        ...this.#accept('PartialObjectMetadataList'),
        signal,
      });
      input = inputOfPage(this.#call, type, body);
    } catch (error) {
      input = inputOfError(this.#call, error);
    }
    this.#take(input);
  }

  async #watch({ seen }: Watching): Promise<void> {
    const { api, type, random } = this.#options;
    const { min: least, max: most } = watchSeconds;
    const left = new AbortController();
    this.#leave = left;
    try {
      const stream = await api.stream({
        path: this.#path,
        query: {
          ...this.#selector,
          watch: 'true',
          allowWatchBookmarks: 'true',
          resourceVersion: String(seen),
          timeoutSeconds: String(least + Math.floor(random() * (most - least + 1))),
        },
        ...this.#accept('PartialObjectMetadata'),
        silentMs: this.#timing.silentMs,
        signal: AbortSignal.any([this.#signal, left.signal]),
      });
      this.#take({ type: 'opened' });
      for await (const event of stream) {
        this.#take(inputOfEvent(this.#call, type, event));
        // An event can end the watch: an ERROR, or one that cannot be read.
        if (this.#signal.aborted || this.#state.at !== 'watching') return;
      }
      this.#take({ type: 'ended' });
    } catch (error) {
      // A watch that was left for a list has nothing to say any more.
      if (!left.signal.aborted) this.#take(inputOfError(this.#call, error));
    } finally {
      left.abort();
    }
  }

  async #wait({ failures, retryAfterMs = 0 }: Waiting): Promise<void> {
    const { clock, random } = this.#options;
    const { firstDelayMs: firstMs, maxDelayMs: maxMs } = this.#timing;
    const ms = Math.max(
      backoffMs(failures, random, { firstMs, maxMs }),
      Math.min(retryAfterMs, maxRetryAfterMs),
    );
    const waited = Promise.withResolvers<void>();
    const done = (): void => {
      waited.resolve();
    };
    const cancel = clock.after(ms, done);
    this.#signal.addEventListener('abort', done, { once: true });
    await waited.promise;
    cancel();
    this.#signal.removeEventListener('abort', done);
    this.#take({ type: 'waited' });
  }

  #take(input: ReflectorInput): void {
    // What was asked for before the end no longer counts, least of all that it was broken off.
    if (this.#signal.aborted) return;
    const { state, actions } = transition(this.#state, input);
    this.#state = state;
    for (const action of actions) this.#perform(action);
  }

  #perform(action: ReflectorAction): void {
    const { cache, logger } = this.#options;
    switch (action.do) {
      case 'begin':
        cache.beginList();
        break;
      case 'stage':
        cache.stage(action.objects);
        break;
      case 'commit':
        cache.commitList(action.version);
        logger.debug({ path: this.#path, objects: cache.size }, 'a list was taken over');
        break;
      case 'put':
        cache.put(action.object);
        break;
      case 'remove':
        cache.remove(action.object);
        break;
      case 'progress':
        cache.progress(action.version);
        break;
      case 'watching':
        cache.watching();
        break;
      case 'failed': {
        const { error } = action;
        if (error.code === 'KUBE_WENT_BACK') cache.failedForGood(error.what);
        else cache.failed(error.what);
        // Every server forgets old versions, as a matter of course.
        const level = error.code === 'KUBE_GONE' ? 'debug' : 'warn';
        logger[level]({ path: this.#path, err: error }, 'a list or watch failed');
        break;
      }
    }
  }
}
