import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { parseDuration } from '../../api/duration.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { readRollout } from '../../operator/read.ts';
import { rolloutType } from '../../operator/resource-types.ts';
import { type Cluster, type ClusterOptions, connect, mustRead, withCluster } from './cluster.ts';
import { type OutputOptions, outputOption, printObject } from './output.ts';

/** How long between two looks, in milliseconds. */
const everyMs = 500;

type Verdict = { readonly done: boolean; readonly exitCode: number; readonly text: string };

/** What a script wants to know. A status of an older generation says nothing about what was just applied. */
export const verdictOf = ({ metadata, status }: RolloutObject): Verdict => {
  if (status === undefined || status.observedGeneration < metadata.generation)
    return { done: false, exitCode: 1, text: 'Progressing: the operator has not seen the last change yet' };
  const text = `${status.phase}: ${status.message}`;
  if (status.phase === 'Healthy') return { done: true, exitCode: 0, text };
  if (status.phase === 'Degraded') return { done: true, exitCode: 1, text };
  return { done: false, exitCode: 1, text };
};

type StatusOptions = ClusterOptions & OutputOptions & { watch: boolean; timeout: string };

const read = async (cluster: Cluster, name: string): Promise<RolloutObject> =>
  mustRead(readRollout(await cluster.get(rolloutType, name)), `AdapterRollout ${cluster.namespace}/${name}`);

/** `kubectl adaptlet status ROLLOUT`. Exits with 1 when it is Degraded or did not become Healthy in time. */
export const statusCommand = (): Command =>
  withCluster(new Command('status'))
    .description('wait until a rollout is Healthy; exit code 1 when it is Degraded or the time is over')
    .argument('<rollout>', 'name of the AdapterRollout')
    .option('--timeout <duration>', 'how long to wait, such as 30s or 10m', '10m')
    .option('--no-watch', 'look once: exit code 1 unless it is Healthy')
    .addOption(outputOption())
    .action(async (name: string, options: StatusOptions) => {
      using cluster = connect(options);
      const end = performance.now() + parseDuration(options.timeout);
      let shown = '';
      for (;;) {
        const rollout = await read(cluster, name);
        const verdict = verdictOf(rollout);
        if (options.output === undefined && verdict.text !== shown) process.stdout.write(`${verdict.text}\n`);
        shown = verdict.text;
        const late = performance.now() >= end;
        if (verdict.done || late || !options.watch) {
          if (options.output !== undefined)
            process.stdout.write(printObject(rollout.status ?? {}, options.output));
          if (late && !verdict.done && options.watch)
            process.stderr.write(`${name} did not become Healthy within ${options.timeout}\n`);
          process.exitCode = verdict.exitCode;
          return;
        }
        await sleep(everyMs);
      }
    });
