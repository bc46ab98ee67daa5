import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { KubeApi } from '../../kube/client/api.ts';
import type { KubeObject, ResourceType } from '../../kube/client/object.ts';
import { createInformer } from '../../kube/informer/informer.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Clock } from '../../time/clock.ts';

export type FollowOptions<T> = {
  readonly namespace?: string;
  /** Of the only object that is followed. */
  readonly name?: string;
  readonly read: (raw: KubeObject) => T;
  /** Called after every change, after the first list, and when the API server stops or begins to answer. */
  readonly onNews: () => void;
};

/** Objects as a watch keeps them. */
export type Following<T> = {
  /** Undefined before the first list. */
  readonly objects: () => readonly T[] | undefined;
  /** The last failure, until something succeeds; it is tried again meanwhile. */
  readonly trouble: () => AdaptletError | undefined;
  readonly close: () => Promise<void>;
};

type Parts = { readonly api: KubeApi; readonly clock: Clock; readonly logger: Log };

/** Follows a collection for a person who looks on: what fails is tried again as the operator does, and told. */
export const followObjects = <T>(
  { api, clock, logger }: Parts,
  type: ResourceType,
  { namespace, name, read, onNews }: FollowOptions<T>,
): Following<T> => {
  let trouble: AdaptletError | undefined;
  const turn = (to: AdaptletError | undefined): void => {
    if (trouble === to) return;
    trouble = to;
    onNews();
  };
  const { cache, start, close } = createInformer<T>({
    api: outspoken(api, turn),
    type,
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { fieldSelector: `metadata.name=${name}` }),
    clock,
    random: Math.random,
    logger,
    project: read,
  });
  cache.onChange(onNews);
  cache.onProgress(onNews);
  start();
  return {
    objects: () => (cache.hasSynced ? cache.list() : undefined),
    trouble: () => {
      const lost = cache.lost();
      return lost === undefined ? trouble : new AdaptletError('KUBE_WENT_BACK', lost);
    },
    close,
  };
};

/** The same API, telling of each failure, and of each success by undefined. */
const outspoken = (api: KubeApi, tell: (trouble: AdaptletError | undefined) => void): KubeApi => {
  const told = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      const result = await work();
      tell(undefined);
      return result;
    } catch (error) {
      // Anything else is the end that somebody asked for.
      if (error instanceof AdaptletError) tell(error);
      throw error;
    }
  };
  return {
    request: (request) => told(() => api.request(request)),
    stream: (request) => told(() => api.stream(request)),
  };
};
