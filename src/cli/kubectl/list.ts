import { Command } from 'commander';
import { share, stepOf } from '../../api/columns.ts';
import type { Condition } from '../../api/condition.ts';
import { shortDigest } from '../../api/names.ts';
import { nearest } from '../../api/nearest.ts';
import type { KubeObject, ResourceType } from '../../kube/client/object.ts';
import { readAdapter, readRollout, readRoute, readRuntime } from '../../operator/objects/read.ts';
import { adapterType, rolloutType, routeType, runtimeType } from '../../operator/objects/resource-types.ts';
import { table } from '../table.ts';
import { type ClusterOptions, connect, withCluster } from './cluster.ts';
import { asList, type OutputOptions, outputOption, printObject, since } from './output.ts';

type Listing = {
  readonly type: ResourceType;
  readonly head: readonly string[];
  readonly row: (raw: KubeObject) => readonly string[];
};

const conditionOf = (conditions: readonly Condition[] | undefined, type: string): string =>
  conditions?.find((condition) => condition.type === type)?.status ?? '';

const listings: Readonly<Record<string, Listing>> = {
  adapters: {
    type: adapterType,
    head: ['BASE', 'DIGEST', 'RESIDENT', 'FAILED', 'READY'],
    row: (raw) => {
      const { object } = readAdapter(raw);
      const { spec, status } = object ?? {};
      const digest = spec?.digest ?? status?.digest;
      const { runtimes } = status ?? {};
      return [
        spec?.baseModel ?? 'not valid',
        digest === undefined ? '' : shortDigest(digest),
        runtimes === undefined ? '' : share(runtimes.resident, runtimes.desired),
        `${runtimes?.failed ?? ''}`,
        conditionOf(status?.conditions, 'Ready'),
      ];
    },
  },
  rollouts: {
    type: rolloutType,
    head: ['PHASE', 'STABLE', 'CANARY', 'STEP', 'WEIGHT', 'OBSERVED', 'READY'],
    row: (raw) => {
      const { status } = readRollout(raw).object ?? {};
      const { step, weights, runtimes } = status ?? {};
      return [
        status?.phase ?? 'Unknown',
        status?.stable?.adapter ?? '',
        status?.canary?.adapter ?? '',
        step === undefined ? '' : stepOf(step),
        `${weights?.canary ?? ''}`,
        `${weights?.observedCanary ?? ''}`,
        runtimes === undefined ? '' : share(runtimes.ready, runtimes.desired),
      ];
    },
  },
  routes: {
    type: routeType,
    head: ['MODEL', 'RULES', 'ACCEPTED', 'PROGRAMMED'],
    row: (raw) => {
      const { spec, status } = readRoute(raw).object ?? {};
      return [
        spec?.model ?? 'not valid',
        `${spec?.rules.length ?? ''}`,
        conditionOf(status?.conditions, 'Accepted'),
        status === undefined ? '' : share(status.runtimes.programmed, status.runtimes.desired),
      ];
    },
  },
  runtimes: {
    type: runtimeType,
    head: ['BASE', 'CONNECTED', 'READY', 'RESIDENT', 'FAILED', 'VERSION'],
    row: (raw) => {
      const { status } = readRuntime(raw).object ?? {};
      return [
        status?.baseModel.name ?? '',
        conditionOf(status?.conditions, 'Connected'),
        conditionOf(status?.conditions, 'Ready'),
        `${status?.adapters.resident ?? ''}`,
        `${status?.adapters.failed ?? ''}`,
        status?.version ?? '',
      ];
    },
  },
};

/** Words for what can be listed. */
export const listedKinds: readonly string[] = Object.keys(listings);

const kindOf = (word: string): string | undefined =>
  listedKinds.find((kind) =>
    [kind, kind.slice(0, -1), `adapter${kind}`, `adapter${kind.slice(0, -1)}`].includes(word.toLowerCase()),
  );

/** `kubectl adaptlet list KIND`. */
export const listCommand = (): Command =>
  withCluster(new Command('list'))
    .description('list adapters, rollouts, routes or runtimes with their main fields')
    .argument('[kind]', 'adapters, rollouts, routes or runtimes', 'rollouts')
    .option('-A, --all-namespaces', 'of all namespaces')
    .addOption(outputOption())
    .action(async (word: string, options: ClusterOptions & OutputOptions & { allNamespaces?: boolean }) => {
      const kind = kindOf(word);
      const listing = kind === undefined ? undefined : listings[kind];
      if (listing === undefined) {
        const [meant] = nearest(word, listedKinds);
        const hint = meant === undefined ? `use one of ${listedKinds.join(', ')}` : `did you mean ${meant}?`;
        throw new Error(`there is no kind ${word}; ${hint}`);
      }
      using cluster = connect(options);
      const all = options.allNamespaces === true;
      const items = await cluster.list(listing.type, { allNamespaces: all });
      if (options.output !== undefined) {
        process.stdout.write(printObject(asList(items), options.output));
        return;
      }
      if (items.length === 0) {
        const where = all ? 'any namespace' : `namespace ${cluster.namespace}`;
        process.stderr.write(`there are no ${kind} in ${where}\n`);
        return;
      }
      const now = Date.now();
      const rows = items.map((item) => [
        ...(all ? [item.metadata.namespace ?? ''] : []),
        item.metadata.name,
        ...listing.row(item),
        since(item.metadata.creationTimestamp, now),
      ]);
      const head = [...(all ? ['NAMESPACE'] : []), 'NAME', ...listing.head, 'AGE'];
      process.stdout.write(table(head, rows));
    });
