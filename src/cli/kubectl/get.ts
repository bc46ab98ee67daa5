import { Command } from 'commander';
import { nearest } from '../../api/nearest.ts';
import { policyName } from '../../api/policy.ts';
import { readAnalysis, readPolicy, readRollout } from '../../operator/objects/read.ts';
import { analysisType, policyType, rolloutType } from '../../operator/objects/resource-types.ts';
import { type ClusterOptions, connect, mustRead, withCluster } from './cluster.ts';
import { kindOf } from './list.ts';
import { metricsView } from './metrics-view.ts';
import { type OutputOptions, outputOption, printObject } from './output.ts';
import { createScreen, pictureOf, sightOf } from './picture.ts';
import { policyView } from './policy-view.ts';
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

const showAnalysis = async (name: string, options: GetOptions): Promise<void> => {
  using cluster = connect(options);
  const raw = await cluster.get(analysisType, name);
  if (options.output !== undefined) {
    process.stdout.write(printObject(raw, options.output));
    return;
  }
  const analysis = mustRead(readAnalysis(raw), `AdapterAnalysis ${cluster.namespace}/${name}`);
  const rollouts = await cluster.list(rolloutType);
  process.stdout.write(
    metricsView(
      analysis,
      rollouts.flatMap((rollout) => readRollout(rollout).object ?? []),
    ),
  );
};

const showPolicy = async (name: string, options: GetOptions): Promise<void> => {
  using cluster = connect(options);
  const raw = await cluster.get(policyType, name);
  process.stdout.write(
    options.output === undefined
      ? policyView(mustRead(readPolicy(raw), `AdapterPolicy ${cluster.namespace}/${name}`))
      : printObject(raw, options.output),
  );
};

/** What is shown of a kind; the name of a policy is always the same. */
const shown = {
  rollouts: show,
  analyses: showAnalysis,
  policies: showPolicy,
} as const;

/** Words for what can be shown. */
export const shownKinds: readonly string[] = ['rollout', 'analysis', 'policy'];

/** `kubectl adaptlet get rollout|analysis|policy NAME`. */
export const getCommand = (): Command =>
  withCluster(new Command('get'))
    .description(
      'show a rollout: its state, its adapters, the progress of each runtime, and what was measured; an analysis: its metrics and who uses it; the policy of a namespace',
    )
    .argument('<kind>', shownKinds.join(', '))
    .argument('[name]', 'name of the object; of a policy it may be left out')
    .option('-w, --watch', 'go on showing a rollout until Ctrl-C')
    .addOption(outputOption())
    .action(async (word: string, given: string | undefined, options: GetOptions) => {
      const kind = kindOf(word);
      const view = Object.entries(shown).find(([one]) => one === kind)?.[1];
      if (view === undefined) {
        const [meant] = nearest(word, shownKinds);
        const hint =
          meant === undefined ? `for others use "kubectl adaptlet list ${word}"` : `did you mean ${meant}?`;
        throw new Error(`there is only "get ${shownKinds.join('|')} NAME", not "get ${word}"; ${hint}`);
      }
      const name = given ?? (kind === 'policies' ? policyName : undefined);
      if (name === undefined) throw new Error(`"get ${word}" needs the name of one`);
      if (options.watch === true && view !== show) throw new Error('only a rollout can be watched');
      await view(name, options);
    });

/** `kubectl adaptlet watch ROLLOUT`: `get rollout ROLLOUT --watch`. */
export const watchCommand = (): Command =>
  withCluster(new Command('watch'))
    .description('show a rollout and its runtimes until Ctrl-C')
    .argument('<rollout>', 'name of the AdapterRollout')
    .action((name: string, options: ClusterOptions) => show(name, { ...options, watch: true }));
