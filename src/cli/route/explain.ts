import { Command } from 'commander';
import type { ExplainResponse } from '../../gen/adaptlet/inference/v1/admin.ts';
import { type Answer, type Explanation, explain } from '../../runtime/routing/explain.ts';
import { labelledText } from '../../runtime/routing/labelled.ts';
import { type AdminOptions, callAdmin, withAdminOptions } from '../admin-client.ts';
import { type Asked, contextOf, requestOf } from './asked.ts';
import { encoderIn } from './encoder.ts';
import { explanationText, type Outcome } from './explain-text.ts';
import { askedOf, type ManifestOptions, type RequestOptions, withManifests, withRequest } from './flags.ts';
import { openOffline, told } from './offline.ts';
import { undecidedBy, withoutDecision } from './undecided.ts';

type Options = AdminOptions & RequestOptions & ManifestOptions;

const answers: readonly string[] = ['yes', 'no', 'unknown'] satisfies readonly Answer[];
const answerOf = (text: string): Answer => (answers.includes(text) ? (text as Answer) : 'unknown');

/** What a node said, as it would be here. */
const explanationOf = ({ kind, route, rule, rules, labels, candidates }: ExplainResponse): Explanation => ({
  kind: kind as Explanation['kind'],
  route,
  rule,
  labels,
  candidates: candidates.map((one) => ({
    ...one,
    kind: one.kind as Explanation['candidates'][number]['kind'],
  })),
  rules: rules.map(({ name, verdict, matches }) => ({
    name,
    verdict: answerOf(verdict),
    matches: matches.map((match) => ({
      verdict: answerOf(match.verdict),
      conditions: match.conditions.map((one) => ({ ...one, verdict: answerOf(one.verdict) })),
    })),
  })),
});

const onNode = async (asked: Asked, options: Options): Promise<Explanation> =>
  explanationOf(
    await callAdmin<ExplainResponse>(options, (client, done) => client.explain(requestOf(asked), done)),
  );

const run = async (prompt: string | undefined, options: Options): Promise<void> => {
  const { manifests, classifier: classifiers, namespace, output } = options;
  const asked = await askedOf(prompt, options);
  const print = (explanation: Explanation, outcome: Outcome = {}): void => {
    const json = (): string => `${JSON.stringify({ ...explanation, ...outcome })}\n`;
    process.stdout.write(output === 'json' ? json() : explanationText(explanation, outcome));
  };
  if (manifests.length === 0) {
    for (const one of asked) print(await onNode(one, options));
    return;
  }
  const inNamespace = namespace === '' ? 'default' : namespace;
  const warn = (text: string): void => void process.stderr.write(`${text}\n`);
  const encoder = encoderIn(options.classifierModel);
  await using offline = await openOffline({ manifests, classifiers, encoder, namespace: inNamespace, warn });
  const { table, facts } = offline;
  for (const one of asked) {
    const context = contextOf(one, inNamespace);
    const explanation = await told(offline, context, () => explain(table, context, facts, 'explained'));
    const open = undecidedBy(explanation, context);
    if (open.length === 0) print(explanation);
    else
      print(withoutDecision(explanation), { undecided: `${open.map(labelledText).join('; ')}; ${toName}` });
  }
};

const toName =
  'name the encoder with --classifier-model, and the folders of artifacts with --classifier, or ask a node (without -f)';

/** `adaptlet explain`. */
export const explainCommand = (): Command =>
  withManifests(
    withAdminOptions(withRequest(new Command('explain'))),
    'explain by these manifests instead of a node: files or folders',
  )
    .description('say which rule of a route would take a request, why not the others, and what would answer')
    .option('-n, --namespace <name>', 'namespace of the name', '')
    .addHelpText(
      'after',
      '\nNothing is answered and nothing is loaded. The request counts as one of a caller with all rights, unless --rights says which, and as the first of its session.\n\nExample:\n  adaptlet explain --data-dir data -m assistant -H x-department=medical "my heart beats fast"',
    )
    .action(run);
