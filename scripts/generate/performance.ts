import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { madeText, type Report } from '../../test/bench/report.ts';
import { type Bar, barChart } from './bar-chart.ts';
import { goals } from './bench-goals.ts';
import { goalTable } from './goal-table.ts';
import { realSizes } from './real-sizes.ts';
import { code, table } from './table.ts';

const folder = 'docs/reference/performance';
const root = join(import.meta.dirname, '../..');

type Row = { readonly key: string; readonly label: string };

const ratioText = (value: number): string => value.toFixed(2);

/** Bars of the keys that the report has. */
const barsOf = (
  values: Readonly<Record<string, number>>,
  rows: readonly Row[],
  options: { readonly text: (value: number) => string; readonly ours: (label: string) => boolean },
): readonly Bar[] =>
  rows.flatMap(({ key, label }) => {
    const value = values[key];
    if (value === undefined) return [];
    const goal = goals.find((one) => one.key === key)?.value;
    const bar = { label, value, text: options.text(value), ours: options.ours(label) };
    return [goal === undefined ? bar : { ...bar, goal }];
  });

const noise = 'uninjected, 2nd session';

const overheadChart = ({ ratios, setup }: Report): string => {
  const options = { text: ratioText, ours: (label: string) => label !== noise };
  const group = (threads: number, rows: readonly Row[]) => ({
    label: threads === 1 ? '1 thread' : `${threads} threads`,
    bars: barsOf(ratios, rows, options),
  });
  return barChart({
    title: 'Decode step over the uninjected graph',
    subtitle: `${setup['model']}, context ${setup['context']}; 1.00 is no overhead, less is better; line: goal`,
    groups: [
      group(1, [
        { key: 'noise_t1', label: noise },
        { key: 'base', label: 'no adapter' },
        { key: 'qv_r8', label: 'q, v, rank 8' },
        { key: 'all_r8_t1', label: 'all linears, rank 8' },
      ]),
      group(2, [
        { key: 'noise_t2', label: noise },
        { key: 'base_t2', label: 'no adapter' },
        { key: 'qv_r8_t2', label: 'q, v, rank 8' },
        { key: 'all_r8_t2', label: 'all linears, rank 8' },
      ]),
    ],
  });
};

const us = 'Adaptlet';
const still = 'Adaptlet, no spinning';
const isOurs = (label: string): boolean => label === us || label === still;
const peerNames: readonly (readonly [name: string, label: string])[] = [
  ['adaptlet', us],
  ['adaptlet-no-spin', still],
  ['genai-base', 'GenAI'],
  ['genai', 'GenAI'],
  ['llama', 'llama.cpp'],
  ['peft', 'PEFT (float32)'],
];

const medians = ({ results }: Report): Record<string, number> =>
  Object.fromEntries(Object.entries(results).map(([key, { median }]) => [key, median]));

/** Without an adapter GenAI's faster graph counts: the exported one. */
const decodeChart = (report: Report): string => {
  const tokensPerSecond = Object.fromEntries(
    Object.entries(medians(report)).map(([key, ms]) => [key, 1000 / ms]),
  );
  const group = (arm: 'base' | 'r8', threads: number) => ({
    label: `${arm === 'base' ? 'no adapter' : 'adapter, rank 8'}, ${threads} thread${threads > 1 ? 's' : ''}`,
    bars: barsOf(
      tokensPerSecond,
      peerNames
        .filter(([name]) => arm === 'r8' || name !== 'genai')
        .map(([name, label]) => ({ key: `decode_${arm}_${name}_t${threads}`, label })),
      { text: (value) => value.toFixed(1), ours: isOurs },
    ),
  });
  return barChart({
    title: 'Decode of one stream, tokens per second',
    subtitle: `${report.setup['model']}, prompt of ${report.setup['prompt_tokens']} tokens; more is better`,
    groups: [group('base', 1), group('r8', 1), group('base', 2), group('r8', 2)],
  });
};

const readyChart = (report: Report): string => {
  const group = (size: string, label: string) => ({
    label,
    bars: barsOf(
      medians(report),
      peerNames.map(([name, peer]) => ({ key: `ready_${size}_${name}`, label: peer })),
      { text: (value) => `${value.toFixed(0)} ms`, ours: isOurs },
    ),
  });
  return barChart({
    title: 'From a cold adapter file to the first token',
    subtitle: 'time to the first token with the adapter loaded taken off; less is better',
    groups: [group('5mb', 'trained fp16 adapter of 5 MB'), group('49mb', 'float32 adapter of 49 MB')],
  });
};

const memoryChart = (report: Report): string => {
  const group = (arm: 'base' | 'r8', label: string) => ({
    label,
    bars: barsOf(
      medians(report),
      peerNames
        .filter(([name]) => name !== 'genai-base')
        .map(([name, peer]) => ({ key: `pss_${arm}_${name}_mib`, label: peer })),
      { text: (value) => `${value.toFixed(0)} MiB`, ours: isOurs },
    ),
  });
  return barChart({
    title: 'Memory of the process that runs the model (PSS)',
    subtitle: `${report.setup['model']} after answers of one stream, 1 thread; less is better`,
    groups: [group('base', 'no adapter'), group('r8', 'with one adapter of rank 8')],
  });
};

/** Every way of every program that was measured; undefined where a report has no lots. */
const lotChart = (report: Report): string | undefined => {
  const ways = [
    ['together', 'one batch'],
    ['one_by_one', 'one by one'],
    ['two_processes', 'two processes'],
  ] as const;
  const rows = (size: number, threads: number): readonly Row[] =>
    peerNames.flatMap(([name, label]) =>
      ways.map(([how, way]) => ({
        key: `lot${size}_${name}_${how}_t${threads}`,
        label: `${label.replace(' (float32)', '')}, ${way}`,
      })),
    );
  const group = (size: number, threads: number) => ({
    label: `${size} requests, ${threads} thread${threads > 1 ? 's' : ''}`,
    bars: barsOf(
      Object.fromEntries(
        Object.entries(medians(report)).map(([key, ms]) => [
          key,
          (size * Number(report.setup['lot_tokens']) * 1000) / ms,
        ]),
      ),
      rows(size, threads),
      { text: (value) => value.toFixed(0), ours: (label) => label === `${us}, one batch` },
    ),
  });
  const groups = [group(4, 1), group(4, 2), group(8, 1), group(8, 2)];
  if (groups.every(({ bars }) => bars.length === 0)) return undefined;
  return barChart({
    title: 'Requests for different adapters at once, tokens per second',
    subtitle: `${report.setup['model']}, prompts of ${report.setup['lot_prompt_tokens']} tokens and prefill included; more is better`,
    groups,
  });
};

const mixedChart = (report: Report): string => {
  const group = (threads: number, suffix: string) => ({
    label: threads === 1 ? '1 thread' : `${threads} threads`,
    bars: barsOf(
      medians(report),
      [
        ['base8', 'no adapter, 8 rows'],
        ['same8', 'one adapter, 8 rows'],
        ['mixed8', '8 adapters, 8 rows'],
        ['mixed_ranks8', 'ranks 8, 16, 64, 8 rows'],
        ['same4', 'one adapter, 4 rows'],
        ['mixed4', '4 adapters, 4 rows'],
        ['same_sequential', 'one adapter, 1 row'],
        ['sequential8', '8 adapters, 1 row'],
      ].map(([arm, label = '']) => ({ key: `tps_${arm}${suffix}`, label })),
      {
        text: (value) => value.toFixed(0),
        ours: (label) =>
          label.startsWith('8 adapters') || label.startsWith('4 adapters') || label.startsWith('ranks'),
      },
    ),
  });
  return barChart({
    title: 'Tokens per second while all rows are taken',
    subtitle: `${report.setup['model']}, prompts of ${report.setup['prompt_tokens']} tokens, answers of ${report.setup['answer_tokens']}; more is better`,
    groups: [group(2, ''), group(1, '_t1')],
  });
};

/** Pictures of a report, by file; undefined where it has no numbers for one. */
type Charts = Readonly<Record<string, (report: Report) => string | undefined>>;

const charts: Readonly<Record<string, Charts>> = {
  overhead: { 'overhead.svg': overheadChart },
  peers: {
    'peers-decode.svg': decodeChart,
    'peers-ready.svg': readyChart,
    'peers-memory.svg': memoryChart,
    'peers-mixed.svg': lotChart,
  },
  mixed: { 'mixed.svg': mixedChart },
};

/** Everything that a saved report says, as tables. */
const numbersOf = (name: string, report: Report): readonly string[] => {
  const { unit, results, ratios, setup, machine } = report;
  const made = madeText(report);
  return [
    `## ${name}`,
    '',
    `Machine: ${machine.cores} cores, ${machine.cpu}, Node ${machine.node}, load average at the end ${machine.loadavg}.`,
    ...(made === '' ? [] : [`Measured on ${made}.`]),
    '',
    ...table(
      ['setup', ''],
      Object.entries(setup).map(([key, value]) => [code(key), String(value)]),
    ),
    '',
    ...table(
      [`results (${unit})`, 'median', 'p99', 'n'],
      Object.entries(results).map(([key, { median, p99, n }]) => [code(key), `${median}`, `${p99}`, `${n}`]),
    ),
    '',
    ...table(
      ['ratios', ''],
      Object.entries(ratios).map(([key, value]) => [code(key), String(value)]),
    ),
    '',
  ];
};

/** Plots and tables of the reports of benches that are saved as docs/reference/performance/NAME.json. */
export const performanceReference = async (): Promise<Map<string, string>> => {
  const files = (await readdir(join(root, folder))).filter((file) => file.endsWith('.json')).sort();
  const made = new Map<string, string>();
  const reports = new Map<string, Report>();
  for (const file of files) {
    // Written by `npm run -s bench -- NAME --json`.
    const report = JSON.parse(await readFile(join(root, folder, file), 'utf8')) as Report;
    reports.set(basename(file, '.json'), report);
    for (const [name, draw] of Object.entries(charts[report.bench] ?? {})) {
      const picture = draw(report);
      if (picture !== undefined) made.set(`${folder}/${name}`, picture);
    }
  }
  const head = [
    '# Numbers of the benches',
    '',
    'What `npm run -s bench -- NAME --json` printed, from the JSON files beside this page, which is generated.',
    '[performance.md](../performance.md) says what they mean.',
    '',
  ];
  const all = [...reports.values()];
  const goalsOfAll = [
    '## Goals',
    '',
    'Sizes of fleets are runtimes x Adapters x rollouts.',
    '',
    ...goalTable(all),
    '',
  ];
  const numbers = [...reports].flatMap(([name, report]) => numbersOf(name, report));
  made.set(`${folder}/numbers.md`, [...head, ...goalsOfAll, ...numbers].join('\n'));
  return made.set(`${folder}/real-sizes.md`, realSizes(all.filter(({ bench }) => bench === 'sizes')));
};
