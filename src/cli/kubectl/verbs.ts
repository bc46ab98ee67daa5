import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { type KubeObject, pathOf } from '../../kube/object.ts';
import { readRollout } from '../../operator/read.ts';
import { rolloutType } from '../../operator/resource-types.ts';
import { requestText } from '../../rollout/request.ts';
import { type Cluster, type ClusterOptions, connect, mustRead, withCluster } from './cluster.ts';

/** Milliseconds for the operator to answer a request. */
const answerMs = 15_000;

const patch = (cluster: Cluster, name: string, body: unknown): Promise<KubeObject> =>
  cluster.api.request({
    method: 'PATCH',
    path: pathOf(rolloutType, cluster.namespace, name),
    query: { fieldManager: 'kubectl-adaptlet' },
    contentType: 'application/merge-patch+json',
    body,
  });

/** Asks the operator for a verb by the annotation and waits for its answer. Errors: the refusal; no answer in time. */
const request = async (cluster: Cluster, name: string, verb: string): Promise<string> => {
  const asked = requestText({ verb, id: randomUUID() });
  await patch(cluster, name, { metadata: { annotations: { 'adaptlet.io/request': asked } } });
  const end = performance.now() + answerMs;
  for (;;) {
    const raw = await cluster.get(rolloutType, name);
    const { status } = mustRead(readRollout(raw), `AdapterRollout ${cluster.namespace}/${name}`);
    if (status?.lastHandledRequest === asked) {
      if (status.lastRefusal !== undefined) throw new Error(`${name}: ${status.lastRefusal}`);
      return `${status.phase}: ${status.message}`;
    }
    if (performance.now() > end)
      throw new Error(
        `no operator answered within ${answerMs / 1000} s; the request stays and is answered when one runs: kubectl get lease -A | grep adaptlet`,
      );
    await sleep(100);
  }
};

/** Where `undo` goes: back to stable while a canary is under way, else to the stable before. */
export const undoTarget = (raw: KubeObject): { readonly adapter: string } | { readonly refusal: string } => {
  const { spec, status } = mustRead(readRollout(raw), 'the AdapterRollout');
  const { stable, history = [] } = status ?? {};
  if (stable !== undefined && stable.adapter !== spec.adapter) return { adapter: stable.adapter };
  const [former] = history;
  return former === undefined
    ? { refusal: 'there is no adapter to go back to: nothing served before this one' }
    : { adapter: former.adapter };
};

const verb = (
  name: string,
  description: string,
  act: (c: Cluster, rollout: string) => Promise<string>,
): Command =>
  withCluster(new Command(name))
    .description(description)
    .argument('<rollout>', 'name of the AdapterRollout')
    .action(async (rollout: string, options: ClusterOptions) => {
      using cluster = connect(options);
      process.stdout.write(`${rollout}: ${await act(cluster, rollout)}\n`);
    });

const setPaused =
  (paused: boolean) =>
  async (cluster: Cluster, name: string): Promise<string> => {
    await patch(cluster, name, { spec: { paused } });
    return paused ? 'paused: it stays where it is until "kubectl adaptlet resume"' : 'resumed';
  };

const undo = async (cluster: Cluster, name: string, to: string | undefined): Promise<string> => {
  const raw = await cluster.get(rolloutType, name);
  const target = to === undefined ? undoTarget(raw) : { adapter: to };
  if ('refusal' in target) throw new Error(`${name}: ${target.refusal}`);
  await patch(cluster, name, {
    // Somebody may have moved on meanwhile: an undo of what they did is not what was asked for.
    metadata: { resourceVersion: raw.metadata.resourceVersion },
    spec: { adapter: target.adapter },
  });
  return `spec.adapter is ${target.adapter} again`;
};

/** `kubectl adaptlet promote|abort|retry|pause|resume|undo ROLLOUT`. */
export const verbCommands = (): Command[] => [
  verb('promote', 'end the present pause of a rollout', (c, name) => request(c, name, 'promote')),
  verb('abort', 'give the canary up; stable serves every request', (c, name) => request(c, name, 'abort')),
  verb('retry', 'start an aborted or held canary again at the first step', (c, name) =>
    request(c, name, 'retry'),
  ),
  verb('pause', 'hold a rollout where it is (spec.paused)', setPaused(true)),
  verb('resume', 'let a paused rollout go on', setPaused(false)),
  withCluster(new Command('undo'))
    .description('point the rollout back at stable, or, when it is settled, at the stable before')
    .argument('<rollout>', 'name of the AdapterRollout')
    .option('--to <adapter>', 'name of the Adapter to go back to')
    .action(async (rollout: string, options: ClusterOptions & { to?: string }) => {
      using cluster = connect(options);
      process.stdout.write(`${rollout}: ${await undo(cluster, rollout, options.to)}\n`);
    }),
];
