import type { AdaptletError } from '../../errors/adaptlet-error.ts';
import { readRollout, readRuntime } from '../../operator/objects/read.ts';
import { rolloutType, runtimeType } from '../../operator/objects/resource-types.ts';
import { systemClock } from '../../time/clock.ts';
import { createBell } from './bell.ts';
import type { Cluster } from './cluster.ts';
import type { Following } from './follow-objects.ts';
import { textOf } from './output.ts';
import { lookAt, rolloutIn, type Sight } from './picture.ts';

type SightOptions = {
  readonly withRuntimes: boolean;
  readonly signal?: AbortSignal;
};

/**
 * A rollout, with all runtimes or without, now and after each change, until its user has seen enough. Each kind is listed
 * once and watched from then on. What fails after the first sight is tried again until it works, and said once.
 * @throws as of `Cluster.get`; KUBE_INVALID; KUBE_WENT_BACK; the reason of the signal
 */
export const sights = async function* (
  cluster: Cluster,
  name: string,
  { withRuntimes, signal }: SightOptions,
): AsyncGenerator<Sight> {
  await using stack = new AsyncDisposableStack();
  const bell = createBell(systemClock);
  stack.defer(bell.close);
  const follow: Cluster['follow'] = (type, options) => {
    const following = cluster.follow(type, options);
    stack.defer(following.close);
    return following;
  };
  const onNews = bell.ring;
  const { namespace } = cluster;
  const rollouts = follow(rolloutType, { namespace, name, read: readRollout, onNews });
  const runtimes = withRuntimes
    ? follow(runtimeType, { read: (raw) => readRuntime(raw).object, onNews })
    : undefined;
  const say = createSpokesman();
  for (;;) {
    signal?.throwIfAborted();
    const found = await theOne(rollouts, cluster, name, signal);
    const areUnseen = runtimes === undefined || (await mayNotSee(runtimes));
    if (found !== undefined && (areUnseen || runtimes.objects() !== undefined)) {
      say(rollouts.trouble() ?? (areUnseen ? undefined : runtimes.trouble()));
      const objects = areUnseen ? undefined : runtimes.objects()?.flatMap((object) => object ?? []);
      yield { rollout: rolloutIn(cluster, found), runtimes: objects };
    }
    await bell.rung(signal);
  }
};

/** Undefined before the first list. */
const theOne = async <T>(
  rollouts: Following<T>,
  cluster: Cluster,
  name: string,
  signal?: AbortSignal,
): Promise<T | undefined> => {
  const [objects, trouble] = [rollouts.objects(), rollouts.trouble()];
  if (trouble?.code === 'KUBE_WENT_BACK') throw trouble;
  if (objects?.[0] !== undefined) return objects[0];
  if (objects === undefined && trouble === undefined) return undefined;
  // Looked for once more, for what there is to say: a misspelt name, a kind that is missing.
  await lookAt(cluster, name, signal);
  if (objects === undefined && trouble !== undefined) throw trouble;
  // It is there after all; the watch will tell.
  return undefined;
};

/** True where runtimes may not be listed: they lie in namespaces of the administrator. */
const mayNotSee = async <T>(runtimes: Following<T>): Promise<boolean> => {
  const trouble = runtimes.trouble();
  if (runtimes.objects() !== undefined || trouble === undefined) return false;
  if (trouble.code !== 'KUBE_FORBIDDEN') throw trouble;
  await runtimes.close();
  return true;
};

/** Says what troubles the watch, once until it works again. */
const createSpokesman = (): ((trouble: AdaptletError | undefined) => void) => {
  let isSaid = false;
  return (trouble) => {
    if (trouble !== undefined && !isSaid)
      process.stderr.write(`${textOf(trouble)} Looking again until it answers.\n`);
    isSaid = trouble !== undefined;
  };
};
