import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import type { KubeObject } from '../../kube/object.ts';
import { readRollout, readRuntime } from '../../operator/read.ts';
import { rolloutType, runtimeType } from '../../operator/resource-types.ts';
import { type Cluster, type ClusterOptions, connect, mustRead, withCluster } from './cluster.ts';
import { asList, type OutputOptions, outputOption, printObject } from './output.ts';
import { rolloutView } from './rollout-view.ts';

/** Milliseconds between two looks of `--watch`. */
const everyMs = 1000;

const runtimesOf = async (cluster: Cluster): Promise<KubeObject[]> =>
  await cluster.list(runtimeType, { allNamespaces: true });

const show = async (cluster: Cluster, name: string): Promise<string> => {
  const raw = await cluster.get(rolloutType, name);
  const rollout = mustRead(readRollout(raw), `AdapterRollout ${cluster.namespace}/${name}`);
  const runtimes = (await runtimesOf(cluster)).flatMap((r) => readRuntime(r).object ?? []);
  return rolloutView(rollout, runtimes, Date.now());
};

/** `kubectl adaptlet get rollout NAME`. */
export const getCommand = (): Command =>
  withCluster(new Command('get'))
    .description('show a rollout: where it stands, its adapters, and how far each runtime is')
    .argument('<kind>', 'rollout')
    .argument('<name>', 'name of the AdapterRollout')
    .option('-w, --watch', 'go on showing it until Ctrl-C')
    .addOption(outputOption())
    .action(
      async (kind: string, name: string, options: ClusterOptions & OutputOptions & { watch?: boolean }) => {
        if (!/^(adapter)?rollouts?$|^aro$/.test(kind))
          throw new Error(
            `there is only "get rollout NAME"; for ${kind} use "kubectl adaptlet list ${kind}"`,
          );
        using cluster = connect(options);
        if (options.output !== undefined) {
          const raw = await cluster.get(rolloutType, name);
          process.stdout.write(printObject(asList([raw, ...(await runtimesOf(cluster))]), options.output));
          return;
        }
        let shown = await show(cluster, name);
        process.stdout.write(shown);
        while (options.watch === true) {
          await sleep(everyMs);
          const now = await show(cluster, name);
          if (now === shown) continue;
          shown = now;
          // On a terminal the new picture takes the place of the old one; in a file they follow each other.
          process.stdout.write(process.stdout.isTTY ? `\u001b[2J\u001b[H${now}` : `\n${now}`);
        }
      },
    );
