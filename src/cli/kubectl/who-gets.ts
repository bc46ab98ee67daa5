import { Command } from 'commander';
import type { GroupStatus } from '../../api/group-status.ts';
import type { RolloutObject } from '../../api/objects.ts';
import { type HashOn, hashOnOf } from '../../api/rollout.ts';
import type { BoundAdapter, RolloutStatus } from '../../api/rollout-status.ts';
import { assignmentIn } from '../../rollout/groups/assignment.ts';
import { isInhabited } from '../../rollout/groups/membership.ts';
import { armOf, keyOf } from '../../rollout/splitter.ts';
import { type ClusterOptions, connect, withCluster } from './cluster.ts';
import { type OutputOptions, outputOption, printObject } from './output.ts';
import { lookAt } from './picture.ts';

export type Caller = { readonly user?: string | undefined; readonly session?: string | undefined };

type Side = {
  readonly arm: 'stable' | 'canary' | 'none';
  readonly adapter: string;
  readonly digest: string;
  readonly why: string;
};

export type Assignment = Side & {
  /** What it is on the runtimes of each group. Absent: the rollout is not under way in groups. */
  readonly groups?: readonly (Side & {
    readonly group: string;
    /** Percent that the canary is allowed there. */
    readonly weight: number;
  })[];
};

const undecided = (why: string): Side => ({ arm: 'none', adapter: '', digest: '', why });

const sideOf = (arm: 'stable' | 'canary', { adapter, digest }: BoundAdapter, why: string): Side => {
  return { arm, adapter, digest, why };
};

type Arms = {
  readonly stable: BoundAdapter;
  readonly canary: NonNullable<RolloutStatus['canary']>;
  readonly hashOn: HashOn;
};

/** On runtimes where the canary is allowed this weight, by the same function that they use. */
const sideAt = (weight: number, { stable, canary, hashOn }: Arms, { user, session }: Caller): Side => {
  if (weight === 0) return sideOf('stable', stable, 'the canary has the weight 0');
  const isSticky =
    hashOn === 'User' ? (user ?? session) !== undefined : hashOn === 'Session' && session !== undefined;
  if (!isSticky && weight < 100)
    return undecided(
      `hashOn is ${hashOn} and the caller has no such id: each request by itself, ${weight} % of them to ${canary.adapter}`,
    );
  const key = keyOf(hashOn, {
    ...(user === undefined ? {} : { user }),
    ...(session === undefined ? {} : { session }),
    requestId: '',
  });
  const arm = armOf(canary.seed, key, weight);
  const why = `${weight} % go to the canary; runtimes where it is not Resident or held answer with stable`;
  return sideOf(arm, arm === 'canary' ? canary : stable, why);
};

const without: Partial<Record<GroupStatus['phase'], string>> = {
  Pending: 'the group has not begun',
  RolledBack: 'the group went back to stable',
};

/** Which side of a rollout a caller is on. Pure. */
export const assignmentOf = ({ spec, status }: RolloutObject, caller: Caller): Assignment => {
  const { stable, canary, weights, groups, abort } = status ?? {};
  if (status === undefined || stable === undefined) return undecided('the rollout has no stable adapter yet');
  if (canary === undefined) return sideOf('stable', stable, 'no canary is under way');
  const arms = { stable, canary, hashOn: hashOnOf(spec.strategy) };
  if (groups === undefined || abort !== undefined) return sideAt(weights?.canary ?? 0, arms, caller);
  const all = groups.filter(isInhabited).map((group) => {
    const { weight } = assignmentIn(status, group, true);
    const why = without[group.phase];
    const side = why === undefined ? sideAt(weight, arms, caller) : sideOf('stable', stable, why);
    return { group: group.name, weight, ...side };
  });
  const [first = sideOf('stable', stable, ''), ...more] = all;
  const { arm, adapter, digest } = first;
  return more.every((one) => one.arm === arm)
    ? { arm, adapter, digest, why: 'the same in every group', groups: all }
    : { ...undecided('it depends on the group of the runtime'), groups: all };
};

/** What a person reads: a line, or one for each group. */
export const assignmentText = ({ groups, ...whole }: Assignment): string => {
  const text = ({ arm, adapter, why }: Side): string =>
    `${arm === 'none' ? 'either side' : `${adapter} (${arm})`}: ${why}\n`;
  return groups === undefined
    ? text(whole)
    : groups.map((one) => `group ${one.group}: ${text(one)}`).join('');
};

/** `kubectl adaptlet who-gets ROLLOUT --user ID`. */
export const whoGetsCommand = (): Command =>
  withCluster(new Command('who-gets'))
    .description(
      'say which adapter a user or a session gets from a rollout, and why; of one in groups for the runtimes of each group',
    )
    .argument('<rollout>', 'name of the AdapterRollout')
    .option('--user <id>', 'user id, as in x-adaptlet-user')
    .option('--session <id>', 'session id, as in x-adaptlet-session')
    .addOption(outputOption())
    .action(async (name: string, options: ClusterOptions & OutputOptions & Caller) => {
      using cluster = connect(options);
      const found = assignmentOf(await lookAt(cluster, name), options);
      if (options.output !== undefined) {
        process.stdout.write(printObject(found, options.output));
        return;
      }
      process.stdout.write(assignmentText(found));
    });
