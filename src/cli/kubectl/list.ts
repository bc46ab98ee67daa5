import { Command } from 'commander';
import { share, stepOf } from '../../api/columns.ts';
import type { Condition } from '../../api/condition.ts';
import { shortDigest } from '../../api/names.ts';
import { nearest } from '../../api/nearest.ts';
import type { KubeObject, ResourceType } from '../../kube/client/object.ts';
import {
  readAdapter,
  readAnalysis,
  readPolicy,
  readRollout,
  readRoute,
  readRuntime,
} from '../../operator/objects/read.ts';
import {
  adapterType,
  analysisType,
  policyType,
  rolloutType,
  routeType,
  runtimeType,
} from '../../operator/objects/resource-types.ts';
import { table } from '../table.ts';
import { type ClusterOptions, connect, withCluster } from './cluster.ts';
import { asList, type OutputOptions, outputOption, printObject, since } from './output.ts';
import { credentialsText, nodesText } from './policy-view.ts';

type Listing = {
  /** Other words for the kind: of one object, and the short name of its CRD. */
  readonly words: readonly string[];
  readonly type: ResourceType;
  readonly head: readonly string[];
  readonly row: (raw: KubeObject) => readonly string[];
};

const conditionOf = (conditions: readonly Condition[] | undefined, type: string): string =>
  conditions?.find((condition) => condition.type === type)?.status ?? '';

const listings: Readonly<Record<string, Listing>> = {
  adapters: {
    words: ['adapter', 'ad'],
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
    words: ['rollout', 'aro'],
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
    words: ['route', 'art'],
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
    words: ['runtime', 'adr'],
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
  analyses: {
    words: ['analysis', 'aan'],
    type: analysisType,
    head: ['METRICS', 'DURATION', 'ON INCONCLUSIVE'],
    row: (raw) => {
      const { spec } = readAnalysis(raw).object ?? {};
      if (spec === undefined) return ['not valid', '', ''];
      const metrics = spec.metrics?.map(({ name }) => name).join(', ');
      return [metrics ?? 'default', spec.duration ?? '', spec.onInconclusive];
    },
  },
  policies: {
    words: ['policy', 'apol'],
    type: policyType,
    head: ['BASE', 'ANONYMOUS', 'CREDENTIALS', 'PODS', 'NODES', 'ADAPTERS'],
    row: (raw) => {
      const { spec } = readPolicy(raw).object ?? {};
      if (spec === undefined) return ['not valid', '', '', '', '', ''];
      const { clients, runtimes, limits } = spec;
      return [
        spec.base,
        clients.anonymous,
        credentialsText(clients),
        runtimes.pods,
        nodesText(runtimes),
        limits.adapters === undefined ? '' : `${limits.adapters}`,
      ];
    },
  },
};

/** Words for what can be listed. */
export const listedKinds: readonly string[] = Object.keys(listings);

/** The kind that a word means, as people name kinds to kubectl. */
export const kindOf = (word: string): string | undefined => {
  const meant = word.toLowerCase();
  return listedKinds.find((kind) =>
    [kind, ...(listings[kind]?.words ?? [])].some((known) => meant === known || meant === `adapter${known}`),
  );
};

/** `kubectl adaptlet list KIND`. */
export const listCommand = (): Command =>
  withCluster(new Command('list'))
    .description('list objects of a kind with their main fields')
    .argument('[kind]', listedKinds.join(', '), 'rollouts')
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
