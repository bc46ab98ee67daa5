import { Command } from 'commander';
import type { Manifest } from '../../api/objects.ts';
import type { RuntimeObject } from '../../operator/objects/objects.ts';
import { readRuntime } from '../../operator/objects/read.ts';
import { runtimeType } from '../../operator/objects/resource-types.ts';
import { compilePlan } from '../../plan/compile.ts';
import { defaultPolicyNamespace, isServedAt, policiesIn } from '../../plan/policies.ts';
import { type ExplainedCandidate, type Explanation, explain } from '../../runtime/routing/explain.ts';
import { labelledText } from '../../runtime/routing/labelled.ts';
import type { RequestContext } from '../../runtime/routing/request.ts';
import { buildTable } from '../../runtime/routing/table.ts';
import { contextOf } from '../route/asked.ts';
import { explanationText } from '../route/explain-text.ts';
import { askedOf, type RequestOptions, several, withRequest } from '../route/flags.ts';
import { type Offline, offlineOf } from '../route/offline.ts';
import { undecidedBy, withoutDecision } from '../route/undecided.ts';
import { type ByStatus, byStatus, isConnected, notesOn } from './by-status.ts';
import { type ClusterOptions, connect, withCluster } from './cluster.ts';
import { objectsByNamespace } from './namespace-objects.ts';

type Options = ClusterOptions &
  Omit<RequestOptions, 'namespace'> & {
    readonly classifier: readonly string[];
    readonly operatorNamespace: string;
  };

/** What answers on a runtime. */
export type OnRuntime = {
  readonly runtime: string;
  /** What answers is its first candidate; without candidates where that is not known here, and without a rule where that is not known either. */
  readonly explanation: Explanation;
  /** Why that one, and what is to know of the node. */
  readonly because: readonly string[];
  /** Why the rule, or what answers, is not known here, and how to ask the node. Absent: both are. */
  readonly undecided?: string;
};

/** What the answer depends on. */
type Fleet = {
  readonly objects: readonly Manifest[];
  readonly runtimes: readonly RuntimeObject[];
  /** Whose policy holds for namespaces without one. */
  readonly policyNamespace: string;
};

/** The runtimes that a namespace sees: its own pods, and the nodes that the policy chooses that holds for it. */
const seenBy = (
  namespace: string,
  { objects, runtimes, policyNamespace }: Fleet,
): readonly RuntimeObject[] => {
  const policy = policiesIn(objects, policyNamespace)(namespace);
  return runtimes.filter(({ metadata, status }) =>
    status?.kind === 'Pod' ? metadata.namespace === namespace : isServedAt(policy, metadata),
  );
};

/**
 * What becomes of a request on each runtime that its namespace sees, by its plan and by what statuses say of its adapters. Pure but for the artifacts of
 * classifiers.
 */
export const explainOn = async (
  fleet: Fleet,
  context: RequestContext,
  open: (table: ReturnType<typeof buildTable>) => Promise<Offline>,
): Promise<readonly OnRuntime[]> => {
  const { objects, policyNamespace } = fleet;
  const all: OnRuntime[] = [];
  const seen = seenBy(context.namespace, fleet);
  for (const one of seen) {
    const { metadata, status } = one;
    if (status === undefined) continue;
    const { name: baseModel } = status.baseModel;
    const key = `${metadata.namespace}/${metadata.name}`;
    const scope = status.kind === 'Pod' ? metadata.namespace : undefined;
    const runtime = { baseModel, labels: metadata.labels, key, ...(scope === undefined ? {} : { scope }) };
    const { plan } = compilePlan({ manifests: objects, runtime, policyNamespace });
    await using offline = await open(buildTable(plan, { name: baseModel }));
    const peers = seen.filter((other) => other.status?.baseModel.name === baseModel && isConnected(other));
    const known = byStatus(one, objects, peers.length);
    const explanation = explain(offline.table, context, { ...offline.facts, ...known }, 'explained');
    const planned = explain(offline.table, context, { ...offline.facts, serves: () => true }, 'explained');
    const { because, candidates } = answering(explanation, planned, known);
    const notes = notesOn(one, context.namespace);
    const unasked = undecidedBy(explanation, context);
    const undecided = (why: string) => ({
      because: notes,
      undecided: `${why}; ${askNode(one, context)}`,
    });
    const meant = planned.candidates[0]?.adapter;
    const isMeant = meant === undefined || meant === explanation.candidates[0]?.adapter;
    const unsaid = isMeant ? undefined : known.unsaidCanary(meant);
    const found = (): Omit<OnRuntime, 'runtime'> => {
      if (unasked.length > 0)
        return {
          explanation: withoutDecision(explanation),
          ...undecided(unasked.map(labelledText).join('; ')),
        };
      if (unsaid !== undefined)
        return { explanation: { ...explanation, candidates: [] }, ...undecided(unsaid) };
      return { explanation: { ...explanation, candidates }, because: [...because, ...notes] };
    };
    all.push({ runtime: status.node ?? metadata.name, ...found() });
  }
  return all;
};

/** The candidates from the one that answers on, and why it is not an earlier one, or another one than by the plan alone. */
const answering = (
  { candidates }: Explanation,
  planned: Explanation,
  { refusalOf, troubleWith, stateOf, unsaidOf }: ByStatus,
): Pick<OnRuntime, 'because'> & Pick<Explanation, 'candidates'> => {
  const refused = ({ adapter }: ExplainedCandidate) =>
    adapter === undefined ? undefined : refusalOf(adapter);
  const at = candidates.findIndex((one) => one.kind !== 'unavailable' && refused(one) === undefined);
  if (at === -1) return { candidates, because: [] };
  const skipped = candidates.slice(0, at).map((one) => {
    const why = refused(one);
    return why === undefined ? one.text : `${one.text}: ${why}`;
  });
  const meant = planned.candidates[0]?.adapter;
  const isOther = at === 0 && meant !== undefined && meant !== candidates[0]?.adapter;
  const why = isOther ? [`not adapter ${meant}: ${troubleWith(meant) ?? stateOf(meant)}`] : [];
  const answers = candidates[at]?.adapter;
  const unsaid = answers === undefined ? [] : unsaidOf(answers);
  return { candidates: candidates.slice(at), because: [...skipped, ...why, ...unsaid] };
};

/** How to ask a runtime itself. */
const askNode = ({ metadata, status }: RuntimeObject, { namespace, model }: RequestContext): string =>
  status?.kind === 'Node' && status.pod !== undefined
    ? `ask the node: kubectl -n ${metadata.namespace} exec ${status.pod} -c runtime -- adaptlet explain -n ${namespace} -m ${model} …`
    : `ask the node itself with adaptlet explain -n ${namespace} -m ${model} …`;

/** What a person reads: rules once for all runtimes with the same, then who answers where. */
export const explainedText = (all: readonly OnRuntime[]): string => {
  const groups = Map.groupBy(all, ({ explanation, ...outcome }) => explanationText(explanation, outcome));
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
    .option(
      '--operator-namespace <namespace>',
      'namespace of the operator, whose AdapterPolicy holds for namespaces without one',
      defaultPolicyNamespace,
    )
    .addHelpText(
      'after',
      '\nBy the objects of the namespace that a request is of, as nodes get them in their plans, and by their statuses: these name 64 canaries of a node, 10 parts of the plan that it refuses, and 10 nodes where an adapter failed; of other adapters only on how many nodes they are. Where there may be more than a status names, the output says so. adaptlet explain asks a node itself, with the encoder that onnx classifiers run.\n\nExample:\n  kubectl adaptlet explain -n team-a -m assistant -H x-department=medical "my heart beats fast"',
    )
    .action(async (prompt: string | undefined, options: Options) => {
      using cluster = connect(options);
      const { operatorNamespace: policyNamespace } = options;
      const runtimes = (await cluster.list(runtimeType, { allNamespaces: true })).flatMap(
        (raw) => readRuntime(raw).object ?? [],
      );
      const warn = (text: string): void => void process.stderr.write(`${text}\n`);
      const objectsIn = objectsByNamespace(cluster, { operatorNamespace: policyNamespace, warn });
      const open = (table: ReturnType<typeof buildTable>): Promise<Offline> =>
        offlineOf(table, { classifiers: options.classifier, warn });
      for (const asked of await askedOf(prompt, { ...options, namespace: cluster.namespace })) {
        const context = contextOf(asked, cluster.namespace);
        const { namespace } = context;
        const fleet = { objects: await objectsIn(namespace), runtimes, policyNamespace };
        const all = await explainOn(fleet, context, open);
        if (all.length === 0)
          throw new Error(
            `namespace ${namespace} sees no AdapterRuntime with a status: no node that its AdapterPolicy chooses has connected yet`,
          );
        process.stdout.write(options.output === 'json' ? `${JSON.stringify(all)}\n` : explainedText(all));
      }
    });
