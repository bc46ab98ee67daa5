import { Command, Option } from 'commander';
import { objectKey } from '../../api/names.ts';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import { type Calibration, calibrate, type Judged } from '../../runtime/classifiers/calibration.ts';
import type { RouteEntry } from '../../runtime/routing/table.ts';
import { systemClock } from '../../time/clock.ts';
import { contextOf } from './asked.ts';
import { encoderIn } from './encoder.ts';
import { type Example, readExamples } from './examples-file.ts';
import { type ManifestOptions, withManifests } from './flags.ts';
import { type Offline, openOffline, told } from './offline.ts';

type Options = ManifestOptions & {
  readonly namespace: string;
  readonly name?: string;
  readonly output: 'text' | 'json';
};

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

const coverageText = ({ coverage, accuracy }: { readonly coverage: number; readonly accuracy?: number }) =>
  `certain of ${percent(coverage)}${accuracy === undefined ? '' : `, ${percent(accuracy)} of them right`}`;

/** What a person reads of a calibration. */
export const calibrationText = (name: string, found: Calibration): string =>
  [
    `classifier ${name}: ${found.count} prompts, best label right for ${percent(found.accuracy)}`,
    `  now: ${coverageText(found.now)}`,
    ...found.thresholds.map((at) => `  minConfidence ${at.minConfidence.toFixed(2)}: ${coverageText(at)}`),
    ...Object.entries(found.confusion).map(([expected, given]) => {
      const counts = Object.entries(given).map(([label, count]) => `${label || '(uncertain)'} ${count}`);
      return `  ${expected}: ${counts.join(', ')}`;
    }),
    `  median ${found.medianMs.toFixed(3)} ms, p99 ${found.p99Ms.toFixed(3)} ms`,
    '',
  ].join('\n');

const routeNamed = ({ table }: Offline, name: string, namespace: string): RouteEntry => {
  const [first = '', second] = name.split('/');
  const key = second === undefined ? objectKey(namespace, first) : objectKey(first, second);
  const entry = table.routes.get(key);
  if (entry?.accepted === true) return entry;
  const what = entry === undefined ? `there is no AdapterRoute ${key} in the manifests` : entry.message;
  throw new AdaptletError('CONFIG_INVALID', what, { advice: 'Name an AdapterRoute of the manifests.' });
};

const calibrationOf = async (
  offline: Offline,
  entry: RouteEntry,
  { name, minMargin }: { readonly name: string; readonly minMargin: number },
  examples: readonly Example[],
): Promise<Calibration> => {
  const judged: Judged[] = [];
  for (const { text, label } of examples) {
    const context = contextOf(
      { model: entry.resource.body.model, prompt: text },
      entry.key.split('/')[0] ?? '',
    );
    const started = systemClock.monotonic();
    const labelled = await told(offline, context, () => offline.facts.classify?.(entry, name, context));
    const ms = systemClock.monotonic() - started;
    if (labelled === undefined) throw new Error('routes of manifests have classifiers');
    judged.push({ expected: label, labelled, ms });
  }
  const unknown = judged.every(({ labelled }) => labelled.label === '');
  const [first] = judged;
  if (unknown && first !== undefined) {
    throw new AdaptletError(
      'CONFIG_INVALID',
      `classifier ${name} has no label for any prompt: ${first.labelled.doubt}`,
      {
        advice:
          'Name the folder of its artifact with --classifier, that of its encoder with --classifier-model, and check the file.',
      },
    );
  }
  const labels = new Set(judged.flatMap(({ labelled }) => labelled.scores.map((one) => one.label)));
  return calibrate(judged, [...labels], { minMargin });
};

const run = async (name: string, file: string, options: Options): Promise<void> => {
  const { manifests, classifier: classifiers, namespace, output } = options;
  if (manifests.length === 0) throw new Error('say where the route is: --manifests PATH');
  const examples = await readExamples(file);
  const warn = (text: string): void => void process.stderr.write(`${text}\n`);
  const encoder = encoderIn(options.classifierModel);
  await using offline = await openOffline({ manifests, classifiers, encoder, namespace, warn });
  const entry = routeNamed(offline, name, namespace);
  const all = entry.resource.body.classifiers ?? [];
  const wanted = all.filter((one) => options.name === undefined || one.name === options.name);
  if (wanted.length === 0) {
    const has = all.length === 0 ? 'it has none' : `it has ${all.map((one) => one.name).join(', ')}`;
    throw new AdaptletError('CONFIG_INVALID', `route ${entry.key} has no such classifier: ${has}`, {
      advice: 'Name one of its classifiers with --name, or leave --name out.',
    });
  }
  for (const one of wanted) {
    const found = await calibrationOf(offline, entry, one, examples);
    const json = `${JSON.stringify({ classifier: one.name, ...found })}\n`;
    process.stdout.write(output === 'json' ? json : calibrationText(one.name, found));
  }
};

/** `adaptlet calibrate`. */
export const calibrateCommand = (): Command =>
  withManifests(new Command('calibrate'), 'file or folder with the route')
    .description(
      'say how good the classifiers of a route are on prompts with labels, and what other thresholds would do',
    )
    .argument('<route>', 'name, or namespace/name, of an AdapterRoute of the manifests')
    .argument(
      '<file>',
      'JSON lines {"text": …, "label": …}; a label that the classifier does not have: none of them',
    )
    .option('-n, --namespace <name>', 'namespace of manifests that name none', 'default')
    .option('--name <classifier>', 'this classifier alone')
    .addOption(
      new Option('-o, --output <form>', 'text, or json: one line a classifier')
        .choices(['text', 'json'])
        .default('text'),
    )
    .addHelpText(
      'after',
      '\nThresholds do not carry over to other tables, labels or callers: calibrate with prompts of your own callers.\n\nExample:\n  adaptlet calibrate assistant prompts.jsonl -f routes --classifier intent',
    )
    .action(run);
