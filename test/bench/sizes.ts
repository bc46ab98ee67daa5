import { loadavg } from 'node:os';
import { choose } from '../../src/runtime/config/choose.ts';
import { readMachine } from '../../src/runtime/machine/machine.ts';
import { benchCache, scratchFolder } from './base.ts';
import { lotPromptTokens, lotRatios, lotSizes, lotTokens } from './peers/lots.ts';
import { own } from './peers/running.ts';
import { Series } from './peers/series.ts';
import { type Report, report, variant } from './report.ts';
import { lots, prompts, singles, starts, threadCounts } from './sizes/measure.ts';
import { realSize } from './sizes/models.ts';
import { chosenShapes, type ShapeName } from './sizes/shapes.ts';

/** Parts of this bench: starts, one stream, and several requests at once. */
const parts = process.env['ADAPTLET_BENCH_PARTS']?.split(',') ?? ['start', 'single', 'lots'];

const mib = 2 ** 20;

type Ratios = readonly (readonly [string, number | undefined])[];

/** How many times as fast we are as the others, and as ourselves without an adapter. */
const streamRatios = (series: Series): Ratios =>
  threadCounts.flatMap((threads) => {
    const suffix = threads === 1 ? '' : `_t${threads}`;
    const speed = (key: string, mine: string, its: string) =>
      series.speed(`${key}_${mine}_t${threads}`, `${key}_${its}_t${threads}`);
    const over = prompts.flatMap(
      ({ length }): Ratios =>
        (['base', 'r8', 'r16'] as const).flatMap((arm) =>
          (['first', 'decode'] as const).flatMap((what): Ratios => {
            const key = `${what}${length}_${arm}`;
            const name = `${what === 'first' ? 'prefill' : what}${length}_${arm}`;
            return [
              [`${name}_over_genai${suffix}`, speed(key, own, arm === 'base' ? 'genai-base' : 'genai')],
              [`${name}_over_llama${suffix}`, speed(key, own, 'llama')],
            ];
          }),
        ),
    );
    const adapters = ['r8', 'r16', 'qv8'].map(
      (arm) =>
        [
          `decode128_${arm}_over_base${suffix}`,
          series.speed(`decode128_${arm}_${own}_t${threads}`, `decode128_base_${own}_t${threads}`),
        ] as const,
    );
    return [...over, ...adapters];
  });

/** Our batch of different adapters over that of one, and over ourselves one by one. */
const batchRatios = (series: Series): Ratios =>
  lotSizes.flatMap((size) =>
    threadCounts.flatMap((threads) => {
      const suffix = threads === 1 ? '_t1' : '';
      const [lot, mixed] = [`lot${size}`, `mixed${size}`];
      const batch = `${lot}_${own}_together_t${threads}`;
      return [
        [
          `${mixed}_over_same${size}${suffix}`,
          series.speed(batch, `${lot}_same_${own}_together_t${threads}`),
        ],
        [`${mixed}_over_one_by_one${suffix}`, series.speed(batch, `${lot}_${own}_one_by_one_t${threads}`)],
      ] as const;
    }),
  );

const load = (): string => (loadavg()[0] ?? Number.NaN).toFixed(1);

const measured = async (name: ShapeName) => {
  using scratch = scratchFolder();
  const model = await realSize(name);
  const series = new Series();
  const cacheDir = parts.includes('start') ? `${scratch.path}/engine` : benchCache('engine');
  const { settings } = choose({ threads: 'auto', adapterMemory: 'auto' }, readMachine());
  const adapterBudgetBytes = settings.adapterMemory;
  const options = { folder: scratch.path, cacheDir, adapterBudgetBytes, series };
  const setup: Record<string, string | number> = {
    load_before: load(),
    adapter_budget_mib: adapterBudgetBytes / mib,
  };
  if (parts.includes('start')) await starts(model, options);
  if (parts.includes('single')) Object.assign(setup, await singles(model, options));
  if (parts.includes('lots')) Object.assign(setup, await lots(model, options));
  setup['load_after'] = load();
  const ratios = [
    ...streamRatios(series),
    ...batchRatios(series),
    ...lotRatios(series, lotSizes, ['genai', 'llama']),
  ];
  return { series, ratios, setup };
};

/**
 * What models of 0.3 to 1.2 billion parameters get from us, ONNX Runtime GenAI and llama.cpp: random weights in real
 * shapes, as the model builder of GenAI exports them. Everything of a model runs at once and is asked one at a time in
 * random order. The budget of adapters is what `adaptlet serve` chooses on this machine. ADAPTLET_BENCH_SIZES names the
 * models; every number has the name of its model before it.
 */
export const sizes = async (): Promise<Report> => {
  const results: [string, ReturnType<typeof variant>][] = [];
  const ratios: [string, number][] = [];
  const setup: Record<string, string | number> = {
    lot_prompt_tokens: lotPromptTokens,
    lot_tokens: lotTokens,
  };
  for (const name of chosenShapes()) {
    const one = await measured(name);
    for (const [key, values] of one.series.all) results.push([`${name}_${key}`, variant(values)]);
    for (const [key, value] of one.ratios) if (value !== undefined) ratios.push([`${name}_${key}`, value]);
    for (const [key, value] of Object.entries(one.setup)) setup[`${name}_${key}`] = value;
  }
  return report('sizes', 'ms (to be ready; to the first token; per token; of a whole lot; mib: MiB)', {
    results: Object.fromEntries(results),
    ratios: Object.fromEntries(ratios),
    setup,
  });
};
