import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { convertAdapter } from '../../src/runtime/adapter/conversion/convert.ts';
import { AdapterTable } from '../../src/runtime/engine/adapters/adapter-table.ts';
import { Arena } from '../../src/runtime/engine/adapters/arena.ts';
import type { Feeds } from '../../src/runtime/engine/adapters/feeds.ts';
import { type GenerateModel, openGenerateModel } from '../../src/runtime/engine/generate/generate-model.ts';
import { openModelFolder, readModelGraph } from '../../src/runtime/engine/model/folder.ts';
import { Mutex } from '../../src/runtime/engine/mutex.ts';
import { findOperator } from '../../src/runtime/engine/ort/operator.ts';
import type { DecoderSession } from '../../src/runtime/engine/session/decoder-session.ts';
import type { KvCache } from '../../src/runtime/engine/session/kv-cache.ts';
import { systemClock } from '../../src/time/clock.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { type BenchBase, benchBase, benchCache, compileFor, scratchFolder } from './base.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';
import { UninjectedGraph } from './uninjected.ts';

const context = 128;
/** Decode steps of one variant in a row: what the caches of the processor hold is then its own. */
const block = 16;
const rounds = roundsOf(15);

type Step = (ids: readonly number[]) => Promise<unknown>;
type Decoder = { readonly cache: KvCache; readonly step: Step };

/** Milliseconds of a prefill, and of the median decode step after it. */
type Sample = { readonly prefill: number; readonly decode: number };

const prompt = Array.from({ length: context }, (_, i) => 5 + ((i * 37) % 200));

const measure = async ({ cache, step }: Decoder): Promise<Sample> => {
  cache.advance(0);
  const started = performance.now();
  await step(prompt);
  const prefilled = performance.now();
  const steps: number[] = [];
  for (let i = 0; i < block; i += 1) {
    const begun = performance.now();
    await step([7 + i]);
    steps.push(performance.now() - begun);
  }
  return { prefill: prefilled - started, decode: quantile(steps, 0.5) };
};

const ours = (session: DecoderSession, feeds: Feeds): Decoder => {
  const cache = session.newCache(context + block);
  return { cache, step: (ids) => session.prepare(feeds, ids, cache, [ids.length - 1])() };
};

const theirs = (graph: UninjectedGraph): Decoder => {
  const cache = graph.newCache(context + block);
  return { cache, step: (ids) => graph.step(ids, cache) };
};

/** The exported graph, twice. */
const uninjected = async (model: BenchBase, base: GenerateModel, threads: number) => {
  const { graph, folder: weightsFolder } = openModelFolder(model.modelDir);
  const exported = readFileSync(graph);
  const options = { threads, headSize: base.settings.headSize, weightsFolder };
  return {
    uninjected: await UninjectedGraph.open(exported, options),
    uninjected_again: await UninjectedGraph.open(exported, options),
  };
};

const openAdapters = async (model: BenchBase, base: GenerateModel, folder: string) => {
  const adapters = new AdapterTable({
    arena: new Arena(64 << 20),
    graph: base.sessions.lora,
    expected: base.info,
    steps: new Mutex(),
  });
  const load = async (name: string, source: string): Promise<Decoder> => {
    const { file } = await compileFor(base.info, source, join(folder, `${name}.bin`));
    const { graph, feeds } = await adapters.load(name, file);
    return ours(graph, feeds);
  };
  const [wide, rank16] = [join(folder, 'r16-float32'), join(folder, 'r16')];
  await writeSyntheticAdapter(wide, model.configFile, { rank: 16 });
  await convertAdapter({ folder: wide, outFolder: rank16, to: 'float16', maxRank: 16 });
  return {
    all_r8: await load('all', model.allLinear),
    qv_r8: await load('qv', model.queryValue),
    all_r16: await load('r16', rank16),
  };
};

/** Samples of every variant, round by round, at one number of threads. */
const samplesOf = async (model: BenchBase, threads: number): Promise<Map<string, Sample[]>> => {
  using scratch = scratchFolder();
  const base = await openGenerateModel(model.modelDir, readModelGraph(model.modelDir), {
    cacheDir: benchCache('engine'),
    threads,
    spin: true,
    clock: systemClock,
    warn: (message) => console.error(`overhead: ${message}`),
    doing: () => undefined,
    signal: new AbortController().signal,
    operator: findOperator(process.env['ADAPTLET_LORA_OPERATOR'] ?? 'auto', (message) =>
      console.error(`overhead: ${message}`),
    ),
  });
  const graphs = await uninjected(model, base, threads);
  const { sessions } = base;
  const decoders = new Map<string, Decoder>([
    ...Object.entries(graphs).map(([name, graph]) => [name, theirs(graph)] as const),
    ['base', ours(sessions.base, sessions.base.feeds(new Map()))],
    ['rank_0', ours(sessions.lora, sessions.lora.feeds(new Map()))],
    ...Object.entries(await openAdapters(model, base, scratch.path)),
  ]);
  for (const decoder of decoders.values()) await measure(decoder);
  const samples = new Map<string, Sample[]>([...decoders.keys()].map((name) => [name, []]));
  const shuffle = shuffler(threads);
  for (let round = 1; round <= rounds; round += 1) {
    for (const [name, decoder] of shuffle([...decoders])) samples.get(name)?.push(await measure(decoder));
    console.error(`overhead: ${threads} thread(s), round ${round} of ${rounds}`);
  }
  for (const { cache } of decoders.values()) cache.release();
  for (const graph of Object.values(graphs)) graph.release();
  sessions.release();
  return samples;
};

/** Median of the ratios within each round. */
const pairedRatio = (a: readonly Sample[], b: readonly Sample[], part: keyof Sample): number =>
  quantile(
    a.map((sample, i) => sample[part] / (b[i]?.[part] ?? Number.NaN)),
    0.5,
  );

/** Keys of the ratios that have a goal. */
const keyOf = (name: string, threads: number): string => {
  if (name === 'uninjected_again') return `noise_t${threads}`;
  if (threads === 1 && (name === 'base' || name === 'qv_r8')) return name;
  return `${name}_t${threads}`;
};

/**
 * A decode step, and a prefill, over those of the uninjected graph in the same process: variants in random order, blocks
 * of steps, medians of ratios within a round. `noise`: the uninjected graph over itself, loaded twice. `*_over_base_*`: over our
 * own step without an adapter.
 */
export const overhead = async (): Promise<Report> => {
  const model = benchBase('overhead');
  const results: Record<string, Report['results'][string]> = {};
  const ratios: Record<string, number> = {};
  for (const threads of [1, 2]) {
    const samples = await samplesOf(model, threads);
    const measureOf = samples.get('uninjected') ?? [];
    const baseOf = samples.get('base') ?? [];
    for (const [name, own] of samples) {
      results[`decode_${name}_t${threads}`] = variant(own.map(({ decode }) => decode));
      results[`prefill_${name}_t${threads}`] = variant(own.map(({ prefill }) => prefill));
      if (name === 'uninjected') continue;
      ratios[keyOf(name, threads)] = pairedRatio(own, measureOf, 'decode');
      ratios[`prefill_${keyOf(name, threads)}`] = pairedRatio(own, measureOf, 'prefill');
      if (name !== 'base' && name !== 'uninjected_again')
        ratios[`${name}_over_base_t${threads}`] = pairedRatio(own, baseOf, 'decode');
    }
  }
  return report('overhead', 'ms', { results, ratios, setup: { model: model.label, context, block, rounds } });
};
