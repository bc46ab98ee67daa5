import { Command } from 'commander';
import { parseDuration } from '../../api/duration.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { type ClusterOptions, connect, withCluster } from './cluster.ts';
import { type OutputOptions, outputOption, printObject } from './output.ts';
import { createScreen, pictureOf } from './picture.ts';
import { sights } from './sights.ts';

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

/** `watch`: true draws the tree, false looks once; without it each new verdict is a line. */
type StatusOptions = ClusterOptions & OutputOptions & { readonly watch?: boolean; readonly timeout: string };

const wait = async (name: string, options: StatusOptions): Promise<void> => {
  using cluster = connect(options);
  const deadline = AbortSignal.timeout(parseDuration(options.timeout));
  const line = createLine();
  const screen = createScreen();
  let last: RolloutObject | undefined;
  process.exitCode = 1;
  try {
    const withRuntimes = options.output === undefined && options.watch === true;
    for await (const sight of sights(cluster, name, { withRuntimes, signal: deadline })) {
      last = sight.rollout;
      const { done, exitCode, text } = verdictOf(sight.rollout);
      if (options.output === undefined && options.watch !== true) line(`${text}\n`);
      if (withRuntimes) screen(pictureOf(sight, Date.now()));
      if (!done && options.watch !== false) continue;
      process.exitCode = exitCode;
      break;
    }
  } catch (error) {
    if (!deadline.aborted) throw error;
    const what = last === undefined ? 'the API server did not answer' : `${name} did not become Healthy`;
    process.stderr.write(`${what} within ${options.timeout}\n`);
  }
  if (options.output !== undefined && last !== undefined)
    process.stdout.write(printObject(last.status ?? {}, options.output));
};

/** Writes a line unless it is the one before. */
const createLine = (): ((text: string) => void) => {
  let written = '';
  return (text) => {
    if (text !== written) process.stdout.write(text);
    written = text;
  };
};

/** `kubectl adaptlet status ROLLOUT`. Exits with 1 when it is Degraded or did not become Healthy in time. */
export const statusCommand = (): Command =>
  withCluster(new Command('status'))
    .description('wait until a rollout is Healthy; exit code 1 when it is Degraded or on a timeout')
    .argument('<rollout>', 'name of the AdapterRollout')
    .option('--timeout <duration>', 'how long to wait, such as 30s or 10m', '10m')
    .option('-w, --watch', 'show the rollout and its runtimes meanwhile')
    .option('--no-watch', 'look once: exit code 1 unless it is Healthy')
    .addOption(outputOption())
    .action(wait);
