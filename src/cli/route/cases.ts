import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { Command, Option } from 'commander';
import { parse } from 'yaml';
import { z } from 'zod';
import { parsedBy } from '../../api/parsed.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { Candidate } from '../../runtime/routing/decision.ts';
import { type Explanation, explain } from '../../runtime/routing/explain.ts';
import { route } from '../../runtime/routing/route.ts';
import { askedShape, contextOf } from './asked.ts';
import { encoderIn } from './encoder.ts';
import { explanationText } from './explain-text.ts';
import { type Offline, openOffline, told } from './offline.ts';

const caseSchema = z.strictObject({
  name: z.string().min(1),
  ...askedShape,
  expect: z
    .strictObject({
      /** '' : no rule. */
      rule: z.string().optional(),
      /** By classifier; '' : it is uncertain. */
      labels: z.record(z.string(), z.string()).optional(),
      /** rollout:NAME, adapter:NAME, base, perUser, or the code of an error. */
      target: z.string().optional(),
    })
    .refine((expected) => Object.keys(expected).length > 0, { error: 'must have rule, labels or target' }),
});
type Case = z.infer<typeof caseSchema>;

const fileSchema = z.strictObject({
  manifests: z.array(z.string()).min(1),
  classifiers: z.array(z.string()).default([]),
  /** Folder of the encoder that `onnx` classifiers run. */
  classifierModel: z.string().optional(),
  namespace: z.string().default('default'),
  cases: z.array(caseSchema).min(1),
});
type TestFile = z.infer<typeof fileSchema>;

/** @throws AdaptletError CONFIG_INVALID */
const readTestFile = async (file: string): Promise<TestFile> => {
  let value: unknown;
  try {
    value = parse(await readFile(file, 'utf8'));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new AdaptletError('CONFIG_INVALID', `${file} cannot be read: ${why}`, { cause });
  }
  const read = parsedBy(fileSchema, value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new AdaptletError('CONFIG_INVALID', `${file}: ${issue?.path.join('.')}: ${issue?.message}`, {
    advice: 'See docs/how-to/route-by-content.md for what a file of cases has.',
  });
};

/** What a case would call the first candidate. */
const targetOf = (candidate: Candidate | undefined): string => {
  if (candidate === undefined) return '';
  if (candidate.kind === 'unavailable') return candidate.code ?? 'ADAPTER_NOT_AVAILABLE';
  if (candidate.kind !== 'adapter') return candidate.kind;
  const name = candidate.key.slice(candidate.key.indexOf('/') + 1);
  return candidate.rollout === '' ? `adapter:${name}` : `rollout:${candidate.rollout}`;
};

export type CaseResult = {
  readonly name: string;
  /** Empty: as expected. */
  readonly failures: readonly string[];
  readonly explanation?: Explanation;
};

const runCase = async (given: Case, offline: Offline, namespace: string): Promise<CaseResult> => {
  const { name, expect, ...asked } = given;
  const { table, facts } = offline;
  try {
    const context = contextOf(asked, namespace);
    // All that any rule asks for is known then.
    const explanation = await told(offline, context, () => explain(table, context, facts, 'test'));
    const [first] = route(table, context, facts, 'test').candidates;
    const labels = new Map(
      explanation.labels.map(({ classifier, label, doubt }) => [classifier, doubt === '' ? label : '']),
    );
    const found = [
      differs('rule', explanation.rule, expect.rule),
      differs('target', targetOf(first), expect.target),
      ...Object.entries(expect.labels ?? {}).map(([classifier, label]) =>
        differs(`label of ${classifier}`, labels.get(classifier) ?? 'not asked', label),
      ),
    ];
    return { name, failures: found.flatMap((one) => one ?? []), explanation };
  } catch (error) {
    if (error instanceof AdaptletError && error.code === expect.target) return { name, failures: [] };
    return { name, failures: [error instanceof Error ? error.message : String(error)] };
  }
};

const differs = (what: string, given: string, expected: string | undefined): string | undefined =>
  expected === undefined || given === expected
    ? undefined
    : `the ${what} is ${given === '' ? 'none' : given}, expected ${expected === '' ? 'none' : expected}`;

/** Runs the cases of a file. @throws AdaptletError CONFIG_INVALID */
export const runTestFile = async (
  file: string,
  warn: (text: string) => void,
): Promise<readonly CaseResult[]> => {
  const { manifests, classifiers, classifierModel, namespace, cases } = await readTestFile(file);
  const from = (path: string): string => resolve(dirname(file), path);
  await using offline = await openOffline({
    manifests: manifests.map(from),
    classifiers: classifiers.map(from),
    encoder: encoderIn(classifierModel === undefined ? undefined : from(classifierModel)),
    namespace,
    warn,
  });
  const results: CaseResult[] = [];
  for (const one of cases) results.push(await runCase(one, offline, namespace));
  return results;
};

const resultText = ({ name, failures, explanation }: CaseResult): string => {
  if (failures.length === 0) return `ok    ${name}\n`;
  const why = explanation === undefined ? '' : explanationText(explanation).replaceAll(/^(?=.)/gm, '      ');
  return `FAIL  ${name}: ${failures.join('; ')}\n${why}`;
};

/** `adaptlet route test`. */
const testCommand = (): Command =>
  new Command('test')
    .description(
      'check in CI that requests go where they should: no node, no cluster; exit code 1 if one does not',
    )
    .argument('<file>', 'YAML with manifests, classifiers and cases')
    .addOption(new Option('-o, --output <form>', 'how to print it').choices(['text', 'json']).default('text'))
    .action(async (file: string, { output }: { readonly output: 'text' | 'json' }) => {
      const results = await runTestFile(file, (text) => void process.stderr.write(`${text}\n`));
      const failed = results.filter(({ failures }) => failures.length > 0).length;
      const text = `${results.map(resultText).join('')}${results.length} cases, ${failed} failed\n`;
      process.stdout.write(output === 'json' ? `${JSON.stringify({ failed, results })}\n` : text);
      if (failed > 0) process.exitCode = 1;
    });

/** `adaptlet route`. */
export const routeCommand = (): Command =>
  new Command('route').description('routes as manifests have them').addCommand(testCommand());
