import { randomUUID } from 'node:crypto';
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseDuration } from '../../api/duration.ts';
import type { RolloutStatus } from '../../api/rollout-status.ts';
import { errorCodeOf } from '../../errors/adaptlet-error.ts';
import type { KubeObject } from '../../kube/client/object.ts';
import { readRollout } from '../../operator/objects/read.ts';
import { adapterType, rolloutType } from '../../operator/objects/resource-types.ts';
import { requestText } from '../../rollout/request.ts';
import { type Cluster, type ClusterOptions, connect, mustRead, withCluster } from './cluster.ts';
import { sights } from './sights.ts';

/** How long the operator may take to answer a request. */
const answerTimeout = '15s';

/**
 * Asks the operator for a verb by the annotation and waits for its answer.
 * @throws the refusal; no answer in time
 */
const request = async (cluster: Cluster, name: string, verb: string, timeout: string): Promise<string> => {
  const deadline = AbortSignal.timeout(parseDuration(timeout));
  const asked = requestText({ verb, id: randomUUID() });
  await cluster.patch(rolloutType, name, { metadata: { annotations: { 'adaptlet.io/request': asked } } });
  const answer = await answerTo(asked, cluster, name, deadline);
  if (answer === undefined)
    throw new Error(
      `no operator answered within ${timeout}; the request stays and is answered when one runs: kubectl get lease -A | grep adaptlet`,
    );
  if (answer.lastRefusal !== undefined) throw new Error(`${name}: ${answer.lastRefusal}`);
  return `${answer.phase}: ${answer.message}`;
};

/** The status that handled the request; undefined when the deadline came first. */
const answerTo = async (
  asked: string,
  cluster: Cluster,
  name: string,
  deadline: AbortSignal,
): Promise<RolloutStatus | undefined> => {
  try {
    for await (const { rollout } of sights(cluster, name, { withRuntimes: false, signal: deadline }))
      if (rollout.status?.lastHandledRequest === asked) return rollout.status;
  } catch (error) {
    if (!deadline.aborted) throw error;
  }
  return undefined;
};

/**
 * Where `undo` goes: back to stable while a canary is under way, else to the stable before; with a revision, to so many
 * stables before the present one.
 */
export const undoTarget = (
  raw: KubeObject,
  revision?: number,
): { readonly adapter: string } | { readonly refusal: string } => {
  const { spec, status } = mustRead(readRollout(raw), 'the AdapterRollout');
  const { stable, history = [] } = status ?? {};
  if (revision === undefined && stable !== undefined && stable.adapter !== spec.adapter)
    return { adapter: stable.adapter };
  const former = history[(revision ?? 1) - 1];
  if (former !== undefined) return { adapter: former.adapter };
  const known = history.map(({ adapter }, index) => `${index + 1} is ${adapter}`).join(', ');
  const refusal =
    known === ''
      ? 'there is no adapter to go back to: nothing served before this one'
      : `there is no revision ${revision} to go back to: ${known}`;
  return { refusal };
};

const revisionOf = (text: string): number => {
  if (!/^[1-9][0-9]?$/.test(text))
    throw new InvalidArgumentError('must be 1, for the stable before, or more');
  return Number(text);
};

const onRollout = (name: string, description: string): Command =>
  withCluster(new Command(name)).description(description).argument('<rollout>', 'name of the AdapterRollout');

const act = async (
  rollout: string,
  options: ClusterOptions,
  how: (cluster: Cluster) => Promise<string>,
): Promise<void> => {
  using cluster = connect(options);
  process.stdout.write(`${rollout}: ${await how(cluster)}\n`);
};

type AskOptions = ClusterOptions & { readonly timeout: string; readonly full?: boolean };

/** A verb that the operator carries out. */
const asked = (verb: string, description: string): Command =>
  onRollout(verb, description)
    .option('--timeout <duration>', 'how long the operator may take to answer', answerTimeout)
    .action((rollout: string, options: AskOptions) =>
      act(rollout, options, (cluster) =>
        request(cluster, rollout, options.full === true ? `${verb}-full` : verb, options.timeout),
      ),
    );

/** A change of spec.paused. */
const pausing = (verb: string, paused: boolean, description: string): Command =>
  onRollout(verb, description).action((rollout: string, options: ClusterOptions) =>
    act(rollout, options, async (cluster) => {
      await cluster.patch(rolloutType, rollout, { spec: { paused } });
      return paused ? 'paused: it stays where it is until "kubectl adaptlet resume"' : 'resumed';
    }),
  );

type UndoOptions = { readonly to?: string; readonly toRevision?: number };

/** Times that an undo is tried while the operator writes the status. */
const undoTries = 10;

/**
 * Points the rollout back. A status that was written meanwhile is no reason to give up.
 * @throws KUBE_CONFLICT where somebody moved the rollout on meanwhile: an undo of what they did is not what was asked for
 */
export const undo = async (
  cluster: Pick<Cluster, 'get' | 'patch'>,
  name: string,
  { to, toRevision }: UndoOptions,
): Promise<string> => {
  if (to !== undefined) await cluster.get(adapterType, to);
  let former: string | undefined;
  let conflict: unknown;
  for (let tries = 0; tries < undoTries; tries++) {
    const raw = await cluster.get(rolloutType, name);
    const target = to === undefined ? undoTarget(raw, toRevision) : { adapter: to };
    if ('refusal' in target) throw new Error(`${name}: ${target.refusal}`);
    const { generation, resourceVersion } = raw.metadata;
    const seen = `${target.adapter} for ${generation}`;
    if (former !== undefined && seen !== former) break;
    former = seen;
    try {
      await cluster.patch(rolloutType, name, {
        metadata: { resourceVersion },
        spec: { adapter: target.adapter },
      });
      return `spec.adapter is ${target.adapter} again`;
    } catch (error) {
      if (errorCodeOf(error) !== 'KUBE_CONFLICT') throw error;
      conflict = error;
    }
  }
  throw conflict;
};

/** `kubectl adaptlet promote|abort|retry|pause|resume|undo ROLLOUT`. */
export const verbCommands = (): Command[] => [
  asked(
    'promote',
    'end the present pause or analysis of a rollout, or continue it after a verdict that needs a person',
  ).option('--full', 'skip all remaining steps instead of only the present one'),
  asked('abort', 'give the canary up; stable serves every request'),
  asked('retry', 'start an aborted or held canary again at the first step'),
  pausing('pause', true, 'hold a rollout where it is (spec.paused)'),
  pausing('resume', false, 'let a paused rollout go on'),
  onRollout('undo', 'point the rollout back at stable, or at the former stable when it is settled')
    .addOption(new Option('--to <adapter>', 'name of the Adapter to go back to').conflicts('toRevision'))
    .option(
      '--to-revision <n>',
      'how many stables back, as "get rollout" numbers the former ones',
      revisionOf,
    )
    .action((rollout: string, options: ClusterOptions & UndoOptions) =>
      act(rollout, options, (cluster) => undo(cluster, rollout, options)),
    ),
];
