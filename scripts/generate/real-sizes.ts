import { madeText, type Report } from '../../test/bench/report.ts';
import type { shapes } from '../../test/bench/sizes/shapes.ts';
import { code, table } from './table.ts';

const labels: Readonly<Record<keyof typeof shapes, string>> = {
  'gemma3-270m': 'Gemma-3-270m',
  'qwen25-05b': 'Qwen2.5-0.5B',
  'qwen3-06b': 'Qwen3-0.6B',
  'llama32-1b': 'Llama-3.2-1B',
};

const none = 'not measured';

/** The numbers of one model, found by their keys. */
type Numbers = {
  readonly label: string;
  /** The median after `of`, and how many rounds it is of. */
  readonly cell: (key: string, of?: (median: number) => string) => string;
  readonly ratio: (key: string) => string;
};

const numbersOf = (reports: readonly Report[], names: readonly (keyof typeof labels)[]): readonly Numbers[] =>
  names.map((name) => {
    const label = labels[name];
    const merged = <T>(of: (report: Report) => Readonly<Record<string, T>>, key: string): T | undefined =>
      reports.map((report) => of(report)[`${name}_${key}`]).find((value) => value !== undefined);
    return {
      label,
      cell: (key, of = (median) => median.toFixed(0)) => {
        const found = merged(({ results }) => results, key);
        return found === undefined ? none : `${of(found.median)} (${found.n})`;
      },
      ratio: (key) => merged(({ ratios }) => ratios, key)?.toFixed(2) ?? none,
    };
  });

const arms = { base: 'none', r8: 'rank 8', r16: 'rank 16' } as const;
type Arm = keyof typeof arms;

/** A row for each model, adapter and number of threads; `cells` fills it. */
const rowsOf = (
  all: readonly Numbers[],
  cells: (numbers: Numbers, arm: Arm, threads: number) => readonly string[],
): readonly (readonly string[])[] =>
  all.flatMap((numbers) =>
    [1, 2].flatMap((threads) =>
      (Object.keys(arms) as Arm[]).flatMap((arm) => {
        const row = cells(numbers, arm, threads);
        return row.every((cell) => cell === none) ? [] : [[numbers.label, `${threads}`, arms[arm], ...row]];
      }),
    ),
  );

const suffixOf = (threads: number): string => (threads === 1 ? '' : '_t2');

const speeds = (all: readonly Numbers[], what: 'prefill' | 'decode', lengths: readonly number[]) => {
  const measured = what === 'prefill' ? 'first' : what;
  const tokens = (length: number) => (median: number) =>
    ((1000 * (what === 'prefill' ? length : 1)) / median).toFixed(what === 'prefill' ? 0 : 1);
  return table(
    [
      'model',
      'threads',
      'adapter',
      ...lengths.flatMap((length) => [length.toLocaleString('en'), 'over GenAI', 'over llama.cpp']),
    ],
    rowsOf(all, (numbers, arm, threads) =>
      lengths.flatMap((length) => [
        numbers.cell(`${measured}${length}_${arm}_adaptlet_t${threads}`, tokens(length)),
        numbers.ratio(`${what}${length}_${arm}_over_genai${suffixOf(threads)}`),
        numbers.ratio(`${what}${length}_${arm}_over_llama${suffixOf(threads)}`),
      ]),
    ),
  );
};

const firsts = (all: readonly Numbers[]) =>
  table(
    ['model', 'threads', 'adapter', 'Adaptlet', 'GenAI', 'llama.cpp'],
    rowsOf(all, (numbers, arm, threads) =>
      ['adaptlet', arm === 'base' ? 'genai-base' : 'genai', 'llama'].map((name) =>
        numbers.cell(`first128_${arm}_${name}_t${threads}`),
      ),
    ),
  );

const seconds = (median: number): string => (median / 1000).toFixed(1);

const startTable = (all: readonly Numbers[]) =>
  table(
    [
      'model',
      'first start, s',
      'second start, s',
      'GenAI, s',
      'llama.cpp, s',
      'model on disk, MiB',
      'prepared graph, MiB',
    ],
    all.map(({ label, cell }) => [
      label,
      cell('start_first_adaptlet', seconds),
      cell('start_second_adaptlet', seconds),
      cell('start_genai-base_t1', seconds),
      cell('start_llama_t1', seconds),
      cell('disk_model_mib'),
      cell('disk_prepared_mib'),
    ]),
  );

const memoryTable = (all: readonly Numbers[]) =>
  table(
    ['model', 'program', 'after load', 'after an answer', 'with an adapter of rank 16 used'],
    all.flatMap(({ label, cell }) =>
      [
        ['Adaptlet', 'adaptlet'],
        ['GenAI', 'genai'],
        ['llama.cpp', 'llama'],
      ].map(([program = '', name]) => [
        label,
        program,
        ...['loaded', 'base', 'r16'].map((arm) =>
          ['pss', 'rss'].map((what) => cell(`${what}_${arm}_${name}_mib`)).join(' / '),
        ),
      ]),
    ),
  );

const lotTable = (all: readonly Numbers[], size: number) => {
  const tokens = size * 32;
  const perSecond = (ms: number): string => ((1000 * tokens) / ms).toFixed(1);
  return table(
    [
      'model',
      'threads',
      `${size} adapters, one batch`,
      '1 adapter, one batch',
      `${size} adapters, one by one`,
      'GenAI, one by one',
      'GenAI, two processes',
      'llama.cpp, one by one',
      'llama.cpp, two processes',
      'over same',
      'over one by one',
      'over GenAI',
      'over llama.cpp',
    ],
    all.flatMap(({ label, cell, ratio }) =>
      [1, 2].map((threads) => {
        const suffix = threads === 1 ? '_t1' : '';
        return [
          label,
          `${threads}`,
          ...[
            'adaptlet_together',
            'same_adaptlet_together',
            'adaptlet_one_by_one',
            'genai_one_by_one',
            'genai_two_processes',
            'llama_one_by_one',
            'llama_two_processes',
          ].map((way) => cell(`lot${size}_${way}_t${threads}`, perSecond)),
          ...[`same${size}`, 'one_by_one', 'genai', 'llama'].map((other) =>
            ratio(`mixed${size}_over_${other}${suffix}`),
          ),
        ];
      }),
    ),
  );
};

/** A row for each report and model: one may have been measured in parts. */
const conditions = (reports: readonly Report[]) =>
  table(
    [
      'model',
      'saved on',
      'load average before',
      'after',
      'the same 16 first tokens as GenAI, rank 16',
      'the same in eight requests for eight adapters',
    ],
    reports.flatMap((report) =>
      Object.entries(labels).flatMap(([name, label]) => {
        const [before, after, one, eight] = [
          'load_before',
          'load_after',
          'same_tokens_genai',
          'lot_same_tokens_genai_one_by_one_t1',
        ].map((key) => String(report.setup[`${name}_${key}`] ?? none));
        return before === none ? [] : [[label, madeText(report), before, after, one, eight] as string[]];
      }),
    ),
  );

const lotTitles = { 4: 'Four', 8: 'Eight' } as const;

/** A table for each number of requests that was measured. */
const lotTables = (all: readonly Numbers[]): readonly string[] =>
  ([4, 8] as const).flatMap((size) =>
    all.every(({ cell }) => [1, 2].every((t) => cell(`lot${size}_adaptlet_together_t${t}`) === none))
      ? []
      : [`## ${lotTitles[size]} requests at once, tokens per second`, '', ...lotTable(all, size), ''],
  );

/** The page of the bench `sizes`: one or more reports, each with some of the models. */
export const realSizes = (reports: readonly Report[]): string => {
  const known = Object.keys(labels) as (keyof typeof labels)[];
  const has = (name: string) =>
    reports.some(({ results }) => Object.keys(results).some((key) => key.startsWith(`${name}_`)));
  const left = known.filter((name) => !has(name)).map((name) => labels[name]);
  const all = numbersOf(reports, known.filter(has));
  return [
    '# Real sizes',
    '',
    'Made of the reports of the bench `sizes`. [performance.md](../performance.md#real-sizes) says how it measures.',
    'In brackets: how many rounds a median is of. Ratios are medians of the ratios within the rounds; above 1 Adaptlet is faster.',
    'Models may have been measured at different times, of different versions of Adaptlet: "Conditions" says when.',
    '',
    ...(left.length === 0 ? [] : [`Not measured yet: ${left.join(', ')}.`, '']),
    '## Prefill, tokens per second',
    '',
    'By the length of the prompt.',
    '',
    ...speeds(all, 'prefill', [128, 1024, 4096]),
    '',
    '## Decode, tokens per second',
    '',
    'By the length of the prompt before.',
    '',
    ...speeds(all, 'decode', [128, 1024]),
    '',
    '## First token of a prompt of 128, ms',
    '',
    ...firsts(all),
    '',
    '## Starts and disk',
    '',
    ...startTable(all),
    '',
    '## Memory, PSS / RSS in MiB',
    '',
    ...memoryTable(all),
    '',
    ...lotTables(all),
    '## Conditions',
    '',
    ...conditions(reports),
    '',
    `The model builder was given ${code('-p int4 -e cpu')} and block 32.`,
    '',
  ].join('\n');
};
