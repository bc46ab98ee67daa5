import { Command } from 'commander';
import type { Manifest } from '../../api/objects.ts';
import type { RuntimeObject } from '../../operator/objects/objects.ts';
import { readAdapter, readPolicy, readRollout, readRoute, readRuntime } from '../../operator/objects/read.ts';
import {
  adapterType,
  policyType,
  rolloutType,
  routeType,
  runtimeType,
} from '../../operator/objects/resource-types.ts';
import { compilePlan } from '../../plan/compile.ts';
import { type Explanation, explain } from '../../runtime/routing/explain.ts';
import type { RequestContext } from '../../runtime/routing/request.ts';
import { buildTable } from '../../runtime/routing/table.ts';
import { contextOf } from '../route/asked.ts';
import { explanationText } from '../route/explain-text.ts';
import { askedOf, type RequestOptions, several, withRequest } from '../route/flags.ts';
import { type Offline, offlineOf } from '../route/offline.ts';
import { type Cluster, type ClusterOptions, connect, withCluster } from './cluster.ts';

type Options = ClusterOptions &
  Omit<RequestOptions, 'namespace'> & { readonly classifier: readonly string[] };

/** What answers on a runtime, by what its plan says. */
export type OnRuntime = { readonly runtime: string; readonly explanation: Explanation };

/**
 * What becomes of a request on each runtime by its plan. A canary counts as Resident, and nothing as held back: the plan
 * does not say it. Pure but for the artifacts of classifiers.
 */
export const explainOn = async (
  objects: readonly Manifest[],
  runtimes: readonly RuntimeObject[],
  context: RequestContext,
  open: (table: ReturnType<typeof buildTable>) => Promise<Offline>,
): Promise<readonly OnRuntime[]> => {
  const all: OnRuntime[] = [];
  for (const { metadata, status } of runtimes) {
    if (status === undefined) continue;
    const { name: baseModel } = status.baseModel;
    const key = `${metadata.namespace}/${metadata.name}`;
    const scope = status.kind === 'Pod' ? metadata.namespace : undefined;
    const runtime = { baseModel, labels: metadata.labels, key, ...(scope === undefined ? {} : { scope }) };
    if (scope !== undefined && scope !== context.namespace) continue;
    const { plan } = compilePlan({ manifests: objects, runtime });
    await using offline = await open(buildTable(plan, { name: baseModel }));
    const facts = { ...offline.facts, serves: () => true };
    const explanation = explain(offline.table, context, facts, 'explained');
    all.push({ runtime: status.node ?? metadata.name, explanation });
  }
  return all;
};

const objectsOf = async (cluster: Cluster): Promise<readonly Manifest[]> => {
  const read = [
    [routeType, readRoute],
    [rolloutType, readRollout],
    [adapterType, readAdapter],
    [policyType, readPolicy],
  ] as const;
  const lists = await Promise.all(
    read.map(async ([type, one]) => (await cluster.list(type)).flatMap((raw) => one(raw).object ?? [])),
  );
  return lists.flat();
};

/** What a person reads: rules once for all runtimes with the same, then who answers where. */
export const explainedText = (all: readonly OnRuntime[]): string => {
  const groups = Map.groupBy(all, ({ explanation }) => explanationText(explanation));
  return [...groups]
    .map(([text, members]) => `on ${members.map(({ runtime }) => runtime).join(', ')}:\n${text}`)
    .join('\n');
};

/** `kubectl adaptlet explain`. */
export const explainCommand = (): Command =>
  withCluster(withRequest(new Command('explain')))
    .description(
      'say for each node which rule of a route takes a request, why not the others, and what answers',
    )
    .option(
      '--classifier <folder>',
      'artifact that a classifier of the routes names by its digest; without it that one is uncertain here',
      several,
      [],
    )
    .addHelpText(
      'after',
      '\nBy the objects of the namespace, as nodes get them in their plans; adaptlet explain asks a node itself, with the encoder that onnx classifiers run.\n\nExample:\n  kubectl adaptlet explain -n team-a -m assistant -H x-department=medical "my heart beats fast"',
    )
    .action(async (prompt: string | undefined, options: Options) => {
      using cluster = connect(options);
      const objects = await objectsOf(cluster);
      const runtimes = (await cluster.list(runtimeType, { allNamespaces: true })).flatMap(
        (raw) => readRuntime(raw).object ?? [],
      );
      const warn = (text: string): void => void process.stderr.write(`${text}\n`);
      const open = (table: ReturnType<typeof buildTable>): Promise<Offline> =>
        offlineOf(table, { classifiers: options.classifier, warn });
      for (const asked of await askedOf(prompt, { ...options, namespace: cluster.namespace })) {
        const all = await explainOn(objects, runtimes, contextOf(asked, cluster.namespace), open);
        if (all.length === 0)
          throw new Error('there is no AdapterRuntime with a status: no node has connected yet');
        process.stdout.write(options.output === 'json' ? `${JSON.stringify(all)}\n` : explainedText(all));
      }
    });
