import type { RolloutObject } from '../../api/objects.ts';
import { errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { RuntimeObject } from '../../operator/objects/objects.ts';
import { readRollout, readRuntime } from '../../operator/objects/read.ts';
import { rolloutType, runtimeType } from '../../operator/objects/resource-types.ts';
import { type Cluster, mustRead } from './cluster.ts';
import { rolloutView } from './rollout-view.ts';

/**
 * A rollout as it is now.
 * @throws as of `Cluster.get`; KUBE_INVALID
 */
export const lookAt = async (cluster: Cluster, name: string, signal?: AbortSignal): Promise<RolloutObject> =>
  rolloutIn(cluster, readRollout(await cluster.get(rolloutType, name, signal)));

/** @throws KUBE_INVALID */
export const rolloutIn = ({ namespace }: Cluster, read: ReturnType<typeof readRollout>): RolloutObject =>
  mustRead(read, `AdapterRollout ${namespace}/${read.metadata.name}`);

/** Undefined for those who may not see runtimes: these lie in namespaces of the administrator. */
const runtimesOf = async (cluster: Cluster): Promise<readonly RuntimeObject[] | undefined> => {
  try {
    const found = await cluster.list(runtimeType, { allNamespaces: true });
    return found.flatMap((raw) => readRuntime(raw).object ?? []);
  } catch (error) {
    if (errorCodeOf(error) !== 'KUBE_FORBIDDEN') throw error;
    return undefined;
  }
};

const unseen =
  '\nIts runtimes are not shown: that needs the right to list adapterruntimes of all namespaces.\n';

/** What is shown of a rollout. `runtimes` undefined: they may not be seen. */
export type Sight = {
  readonly rollout: RolloutObject;
  readonly runtimes?: readonly RuntimeObject[] | undefined;
};

/**
 * A rollout with all runtimes as they are now.
 * @throws as of `lookAt`
 */
export const sightOf = async (cluster: Cluster, name: string): Promise<Sight> => {
  const rollout = await lookAt(cluster, name);
  return { rollout, runtimes: await runtimesOf(cluster) };
};

/** The tree of a rollout, its adapters and runtimes, as text. `now` is the wall time in milliseconds. */
export const pictureOf = ({ rollout, runtimes }: Sight, now: number): string => {
  const { columns } = process.stdout;
  return `${rolloutView(rollout, runtimes ?? [], now, columns)}${runtimes === undefined ? unseen : ''}`;
};

/** Shows texts one after the other, each only when it differs from the one before. */
export const createScreen = (): ((text: string) => void) => {
  let shown = '';
  return (text) => {
    if (text === shown) return;
    // On a terminal the new picture takes the place of the old one; in a file they follow each other.
    const before = shown === '' ? '' : process.stdout.isTTY ? '\u001b[2J\u001b[H' : '\n';
    process.stdout.write(`${before}${text}`);
    shown = text;
  };
};
