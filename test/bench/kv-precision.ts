import { type GenerateModel, openGenerateModel } from '../../src/runtime/engine/generate/generate-model.ts';
import { readModelGraph } from '../../src/runtime/engine/model/folder.ts';
import type { KvElement } from '../../src/runtime/engine/session/kv-cache.ts';
import { systemClock } from '../../src/time/clock.ts';
import { benchBase, benchCache } from './base.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';
import { realSize } from './sizes/models.ts';
import { chosenShapes } from './sizes/shapes.ts';

/** Tokens before the steps that are timed. */
const contexts = [128, 1024] as const;
const steps = 16;
/** Tokens of a prompt that are run at once. */
const piece = 128;
const rows = 8;
const rounds = roundsOf(15);

const open = (modelDir: string, precision: KvElement): Promise<GenerateModel> =>
  openGenerateModel(modelDir, readModelGraph(modelDir), {
    cacheDir: benchCache('engine'),
    threads: 1,
    clock: systemClock,
    warn: (message) => console.error(`kv-precision: ${message}`),
    doing: () => undefined,
    signal: new AbortController().signal,
    kv: { precision, available: undefined, besideBytes: 0, requests: rows },
  });

/** Milliseconds of work by name: prompts of each context, the median step of one row after it, and of eight. */
type Sample = Readonly<Record<string, number>>;

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const started = performance.now();
  await work();
  return performance.now() - started;
};

const median = async (work: (index: number) => Promise<unknown>): Promise<number> => {
  const times: number[] = [];
  for (let index = 0; index < steps; index += 1) times.push(await timed(() => work(index)));
  return quantile(times, 0.5);
};

const measure = async ({ settings, sessions: { base } }: GenerateModel): Promise<Sample> => {
  const feeds = base.feeds(new Map());
  const sample: Record<string, number> = {};
  for (const context of contexts.filter((tokens) => tokens + steps <= settings.contextLength)) {
    const cache = base.newCache(context + steps);
    const prompt = Array.from({ length: context }, (_, at) => 5 + ((at * 37) % 200));
    sample[`prompt_${context}`] = await timed(async () => {
      for (let at = 0; at < context; at += piece)
        await base.prepare(feeds, prompt.slice(at, at + piece), cache, [0])();
    });
    sample[`decode_${context}`] = await median((index) => base.prepare(feeds, [7 + index], cache, [0])());
    cache.release();
    const kv = base.newRows({ rows, capacity: context + steps });
    if (kv === undefined) throw new Error('rows do not run together');
    const span = kv.span(0, rows);
    const ids = Array.from({ length: rows }, (_, row) => [9 + row]);
    sample[`decode_${context}_8_rows`] = await median((index) =>
      base.prepareRows(
        feeds,
        { ids, before: ids.map((_, row) => context - row + index) },
        { past: span, present: span },
        [0],
      )(),
    );
    kv.release();
  }
  feeds.release();
  return sample;
};

/** SmolLM2, or the model of a real size that ADAPTLET_BENCH_SIZES names. */
const chosenModel = async (): Promise<{ readonly label: string; readonly modelDir: string }> => {
  const [name] = chosenShapes([]);
  if (name === undefined) return benchBase('kv-precision');
  return { label: `${name}, random weights`, modelDir: (await realSize(name)).modelDir };
};

/** int8 keys and values over float32, in one process, in turns: median of the ratios within a round. */
export const kvPrecision = async (): Promise<Report> => {
  const { label, modelDir } = await chosenModel();
  const models = { float32: await open(modelDir, 'float32'), int8: await open(modelDir, 'int8') };
  const samples: Readonly<Record<KvElement, Sample[]>> = { float32: [], int8: [] };
  const shuffle = shuffler(1);
  for (let round = 0; round <= rounds; round += 1) {
    for (const name of shuffle(['float32', 'int8'] as const)) {
      const sample = await measure(models[name]);
      // The first one warms up.
      if (round > 0) samples[name].push(sample);
    }
    console.error(`kv-precision: round ${round} of ${rounds}`);
  }
  const results: Record<string, Report['results'][string]> = {};
  const ratios: Record<string, number> = {};
  for (const key of Object.keys(samples.float32[0] ?? {})) {
    const [float32, int8] = [samples.float32, samples.int8].map((all) => all.map((one) => one[key] ?? 0));
    results[`${key}_float32`] = variant(float32 ?? []);
    results[`${key}_int8`] = variant(int8 ?? []);
    ratios[key] = quantile(
      (int8 ?? []).map((ms, index) => ms / (float32?.[index] ?? Number.NaN)),
      0.5,
    );
  }
  for (const { sessions } of Object.values(models)) sessions.release();
  return report('kv-precision', 'ms', { results, ratios, setup: { model: label, piece, rounds } });
};
