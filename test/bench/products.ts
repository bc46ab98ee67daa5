import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type GenerateModel, openGenerateModel } from '../../src/runtime/engine/generate/generate-model.ts';
import { writeVerdict } from '../../src/runtime/engine/graphs/products-verdict.ts';
import { readModelGraph } from '../../src/runtime/engine/model/folder.ts';
import { findOperator, type Operator } from '../../src/runtime/engine/ort/operator.ts';
import { systemClock } from '../../src/time/clock.ts';
import { benchBase, scratchFolder } from './base.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';

const theirs = 'onnxruntime';
/** Tokens of a step. */
const pieces = [1, 8, 16, 128];
const rounds = roundsOf(21);

const openWith = (modelDir: string, cacheDir: string, operator: Operator): Promise<GenerateModel> =>
  openGenerateModel(modelDir, readModelGraph(modelDir), {
    cacheDir,
    threads: 1,
    clock: systemClock,
    warn: (message) => console.error(`products: ${message}`),
    doing: () => undefined,
    signal: new AbortController().signal,
    operator,
  });

/** The base model once for each instruction set of this processor, and with ONNX Runtime's products. */
const openAll = async (modelDir: string, cacheDir: string): Promise<Map<string, GenerateModel>> => {
  const operator = findOperator('auto', (message) => {
    throw new Error(message);
  });
  if (operator?.products === undefined)
    throw new Error('there are no products of our own for this processor; run: make native');
  const { products, ...without } = operator;
  const opened = new Map([[theirs, await openWith(modelDir, cacheDir, without)]]);
  const [prepared = ''] = readdirSync(join(cacheDir, 'prepared'));
  for (const level of products.levels) {
    const of = { digest: operator.digest, level };
    // They serve whatever a measurement of before would say.
    await writeVerdict(join(cacheDir, 'prepared', prepared), of, {});
    const model = await openWith(modelDir, cacheDir, {
      ...operator,
      products: { ...products, levels: [level] },
    });
    if (model.info.native?.linears !== true) throw new Error(`linears are not computed by ${level}`);
    opened.set(level, model);
  }
  return opened;
};

/** Milliseconds of the processor, of this process. */
const processorMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/**
 * Steps of whole graphs whose linears are computed by each instruction set of the native operator that this processor has, over
 * those with ONNX Runtime's products: processor time at one thread, in random order, medians of the ratios of all rounds.
 */
export const products = async (): Promise<Report> => {
  const model = benchBase('products');
  using scratch = scratchFolder();
  const opened = await openAll(model.modelDir, scratch.path);
  const steps = new Map(
    [...opened].map(([name, { sessions }]) => {
      const { base } = sessions;
      const cache = base.newCache(Math.max(...pieces));
      const feeds = base.feeds(new Map());
      const step = async (tokens: number): Promise<number> => {
        const ids = Array.from({ length: tokens }, (_, at) => 5 + ((at * 37) % 200));
        cache.advance(0);
        const from = processorMs();
        await base.prepare(feeds, ids, cache, [tokens - 1])();
        return processorMs() - from;
      };
      return [name, { step, cache }] as const;
    }),
  );
  const shuffle = shuffler(1);
  const results: Record<string, Report['results'][string]> = {};
  const ratios: Record<string, number> = {};
  for (const tokens of pieces) {
    const times = new Map<string, number[]>([...steps.keys()].map((name) => [name, []]));
    // The first round is not counted: it reads weights for the first time.
    for (let round = -1; round < rounds; round += 1)
      for (const [name, { step }] of shuffle([...steps])) {
        const ms = await step(tokens);
        if (round >= 0) times.get(name)?.push(ms);
      }
    console.error(`products: steps of ${tokens} token(s)`);
    const base = times.get(theirs) ?? [];
    for (const [name, of] of times) {
      results[`${name}_${tokens}`] = variant(of);
      if (name !== theirs)
        ratios[`${name}_${tokens}`] = quantile(
          of.map((ms, round) => ms / (base[round] ?? Number.NaN)),
          0.5,
        );
    }
  }
  for (const { cache } of steps.values()) cache.release();
  for (const { sessions } of opened.values()) sessions.release();
  return report('products', 'ms of the processor', {
    results,
    ratios,
    setup: { model: model.label, threads: 1, rounds },
  });
};
