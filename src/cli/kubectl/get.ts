import { Command } from 'commander';
import { nearest } from '../../api/nearest.ts';
import { rolloutType } from '../../operator/objects/resource-types.ts';
import { type ClusterOptions, connect, withCluster } from './cluster.ts';
import { type OutputOptions, outputOption, printObject } from './output.ts';
import { createScreen, pictureOf, sightOf } from './picture.ts';
import { sights } from './sights.ts';

type GetOptions = ClusterOptions & OutputOptions & { readonly watch?: boolean };

const show = async (name: string, options: GetOptions): Promise<void> => {
  using cluster = connect(options);
  if (options.output !== undefined) {
    process.stdout.write(printObject(await cluster.get(rolloutType, name), options.output));
    return;
  }
  if (options.watch !== true) {
    process.stdout.write(pictureOf(await sightOf(cluster, name), Date.now()));
    return;
  }
  const screen = createScreen();
  for await (const sight of sights(cluster, name, { withRuntimes: true }))
    screen(pictureOf(sight, Date.now()));
};

/** `kubectl adaptlet get rollout NAME`. */
export const getCommand = (): Command =>
  withCluster(new Command('get'))
    .description(
      'show a rollout: its state, its adapters, the progress of each runtime, and what was measured',
    )
    .argument('<kind>', 'rollout')
    .argument('<name>', 'name of the AdapterRollout')
    .option('-w, --watch', 'go on showing it until Ctrl-C')
    .addOption(outputOption())
    .action((kind: string, name: string, options: GetOptions) => {
      if (/^(adapter)?rollouts?$|^aro$/.test(kind)) return show(name, options);
      const hint =
        nearest(kind, ['rollout']).length > 0
          ? 'did you mean rollout?'
          : `for others use "kubectl adaptlet list ${kind}"`;
      throw new Error(`there is only "get rollout NAME", not "get ${kind}"; ${hint}`);
    });

/** `kubectl adaptlet watch ROLLOUT`: `get rollout ROLLOUT --watch`. */
export const watchCommand = (): Command =>
  withCluster(new Command('watch'))
    .description('show a rollout and its runtimes until Ctrl-C')
    .argument('<rollout>', 'name of the AdapterRollout')
    .action((name: string, options: ClusterOptions) => show(name, { ...options, watch: true }));
