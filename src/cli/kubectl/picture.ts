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
  mustRead(
    readRollout(await cluster.get(rolloutType, name, signal)),
    `AdapterRollout ${cluster.namespace}/${name}`,
  );

/** Undefined for those who may not see runtimes: these lie in namespaces of the administrator. */
const runtimesOf = async (
  cluster: Cluster,
  signal?: AbortSignal,
): Promise<readonly RuntimeObject[] | undefined> => {
  try {
    const options = { allNamespaces: true, ...(signal === undefined ? {} : { signal }) };
    const found = await cluster.list(runtimeType, options);
    return found.flatMap((raw) => readRuntime(raw).object ?? []);
  } catch (error) {
    if (errorCodeOf(error) !== 'KUBE_FORBIDDEN') throw error;
    return undefined;
  }
};

const unseen =
  '\nIts runtimes are not shown: that needs the right to list adapterruntimes of all namespaces.\n';

/** The tree of a rollout, its adapters and runtimes, as text. `now` is the wall time in milliseconds. */
export const pictureOf = async (
  cluster: Cluster,
  rollout: RolloutObject,
  now: number,
  signal?: AbortSignal,
): Promise<string> => {
  const runtimes = await runtimesOf(cluster, signal);
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
