import { Command } from 'commander';
import type { RolloutObject } from '../../api/objects.ts';
import { hashOnOf } from '../../api/rollout.ts';
import { armOf, keyOf } from '../../rollout/splitter.ts';
import { type ClusterOptions, connect, withCluster } from './cluster.ts';
import { type OutputOptions, outputOption, printObject } from './output.ts';
import { lookAt } from './picture.ts';

export type Caller = { readonly user?: string | undefined; readonly session?: string | undefined };

export type Assignment = {
  readonly arm: 'stable' | 'canary' | 'none';
  readonly adapter: string;
  readonly digest: string;
  readonly why: string;
};

/** Which side of a rollout a caller is on, by the same function that runtimes use. Pure. */
export const assignmentOf = ({ spec, status }: RolloutObject, { user, session }: Caller): Assignment => {
  const { stable, canary, weights } = status ?? {};
  if (stable === undefined)
    return { arm: 'none', adapter: '', digest: '', why: 'the rollout has no stable adapter yet' };
  const side = (arm: 'stable' | 'canary', { adapter, digest }: typeof stable, why: string): Assignment => {
    return { arm, adapter, digest, why };
  };
  if (canary === undefined) return side('stable', stable, 'no canary is under way');
  const weight = weights?.canary ?? 0;
  const hashOn = hashOnOf(spec.strategy);
  if (weight === 0) return side('stable', stable, 'the canary has the weight 0');
  const isSticky =
    hashOn === 'User' ? (user ?? session) !== undefined : hashOn === 'Session' && session !== undefined;
  if (!isSticky && weight < 100)
    return {
      arm: 'none',
      adapter: '',
      digest: '',
      why: `hashOn is ${hashOn} and the caller has no such id: each request by itself, ${weight} % of them to ${canary.adapter}`,
    };
  const key = keyOf(hashOn, {
    ...(user === undefined ? {} : { user }),
    ...(session === undefined ? {} : { session }),
    requestId: '',
  });
  const arm = armOf(canary.seed, key, weight);
  const present = status?.groups?.find(({ phase }) => phase !== 'Succeeded');
  const where = present === undefined ? '' : ` on the runtimes of group ${present.name}`;
  const why = `${weight} % go to the canary${where}; runtimes where it is not Resident or held answer with stable`;
  return side(arm, arm === 'canary' ? canary : stable, why);
};

/** `kubectl adaptlet who-gets ROLLOUT --user ID`. */
export const whoGetsCommand = (): Command =>
  withCluster(new Command('who-gets'))
    .description('say which adapter a user or a session gets from a rollout, and why')
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
      const what = found.arm === 'none' ? 'either side' : `${found.adapter} (${found.arm})`;
      process.stdout.write(`${what}: ${found.why}\n`);
    });
