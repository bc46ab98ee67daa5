import { type Cache, type CacheOptions, ObjectCache } from './cache.ts';
import { Reflector, type ReflectorOptions } from './reflector.ts';

export type InformerOptions<T> = Omit<ReflectorOptions<T>, 'cache'> &
  Pick<CacheOptions<T>, 'project' | 'limits'> &
  Partial<Pick<CacheOptions<T>, 'indexes'>>;

/** A cache that follows a collection of the API server. */
export type Informer<T> = {
  readonly cache: Cache<T>;
  /** Begins to list and watch, once. */
  readonly start: () => void;
  /** Resolves once the cache holds a first list. @throws the reason of the signal */
  readonly whenSynced: (signal: AbortSignal) => Promise<void>;
  /** Lists anew, now, unless that is under way: for those who cannot wait for the next bookmark. */
  readonly refresh: () => void;
  /** Ends the watch. The cache stays as it is. */
  readonly close: () => Promise<void>;
};

export const createInformer = <T>(options: InformerOptions<T>): Informer<T> => {
  const cache = new ObjectCache<T>({ indexes: {}, ...options });
  const closed = new AbortController();
  const reflector = new Reflector({ ...options, cache }, closed.signal);
  let running: Promise<void> | undefined;
  return {
    cache,
    start: () => {
      running ??= reflector.run().catch((error: unknown) => {
        // Only a defect of ours ends it. The cache is lost then, which is what its readers look at.
        cache.failedForGood(`the reflector stopped: ${String(error)}`);
        options.logger.error({ err: error }, 'a reflector stopped');
      });
    },
    whenSynced: async (signal) => {
      signal.throwIfAborted();
      if (cache.hasSynced) return;
      const synced = Promise.withResolvers<void>();
      const stop = cache.onProgress(() => synced.resolve());
      const abort = () => {
        synced.reject(signal.reason);
      };
      signal.addEventListener('abort', abort, { once: true });
      try {
        await synced.promise;
      } finally {
        stop();
        signal.removeEventListener('abort', abort);
      }
    },
    refresh: () => reflector.refresh(),
    close: async () => {
      closed.abort();
      await running;
    },
  };
};
