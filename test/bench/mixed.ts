import type { Precision } from '../../src/runtime/adapter/conversion/precision.ts';
import type { EngineClient } from '../../src/runtime/engine/client/client.ts';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { systemClock } from '../../src/time/clock.ts';
import { type BenchBase, benchBase, benchEngine, scratchFolder } from './base.ts';
import { type Arm, answerTokens, armsOf, asksOf, type Ranks, type Rows } from './mixed/arms.ts';
import { blockOf, Samples } from './mixed/samples.ts';
import { promptsOf } from './peers/prompts.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';
import { type Files, loadAll, makeAdapters } from './traffic/adapters.ts';
import { runCrowd, type Send } from './traffic/crowd.ts';
import { noEnd } from './traffic/no-end.ts';
import { exponentialMs } from './traffic/random-arrivals.ts';
import { sendTo } from './traffic/send.ts';

const promptLengths = [32, 43, 53, 64];
/** Requests that may wait while all rows are taken. */
const queue = 4;
const mebibyte = 1 << 20;

/** Rounds, and the time after which no further one begins. Two threads are what keys without a suffix mean. */
const plans = [
  { threads: 2, suffix: '', rounds: roundsOf(5), mostMs: 165_000 },
  { threads: 1, suffix: '_t1', rounds: roundsOf(3), mostMs: 75_000 },
] as const;
type Plan = (typeof plans)[number];

/** All of them, or those that ADAPTLET_BENCH_ARMS names. */
const chosenArms = process.env['ADAPTLET_BENCH_ARMS']?.split(',');

type Prompts = readonly (readonly number[])[];
type Sends = Readonly<Record<Rows, Send>>;

/** Compiled adapters on every linear, by rank. */
type ByRank = { readonly 8: Files; readonly 16: Files; readonly 64: Files };
type AllFiles = Readonly<Record<Precision, ByRank>>;

/** As many of rank 8 as leave a choice while all rows and the queue are taken. */
const makeAll = async (model: BenchBase, engine: EngineClient, folder: string): Promise<AllFiles> => {
  const make = async (precision: Precision, most: number): Promise<ByRank> => {
    const of = (rank: number, count: number) =>
      makeAdapters(model, engine.info(), { folder, rank, count, precision });
    return { 8: await of(8, most), 16: await of(16, 4), 64: await of(64, 4) };
  };
  return { float16: await make('float16', 16), int8: await make('int8', 4) };
};

const namesOf = (files: ByRank): Ranks => ({
  8: [...files[8].keys()],
  16: [...files[16].keys()],
  64: [...files[64].keys()],
});

/** Unmeasured, so that later runs do what they do ever after. */
const useOnce = async (send: Send, adapters: readonly string[], prompts: Prompts): Promise<void> => {
  const asks = adapters.map((adapter, i) => ({
    adapter,
    prompt: prompts[i % prompts.length] ?? [],
    maxTokens: 4,
  }));
  await Promise.all(asks.map((ask) => send(ask, () => undefined, new AbortController().signal)));
};

/** Median milliseconds of a whole answer with nothing else running. */
const aloneMs = async (send: Send, adapter: string | null, prompts: Prompts): Promise<number> => {
  const times: number[] = [];
  for (const prompt of [...prompts, ...prompts]) {
    const started = performance.now();
    await send({ adapter, prompt, maxTokens: answerTokens }, () => undefined, new AbortController().signal);
    times.push(performance.now() - started);
  }
  return quantile(times.slice(prompts.length), 0.5);
};

const measure = async (
  sends: Sends,
  arms: readonly Arm[],
  options: Plan & { readonly prompts: Prompts },
): Promise<Samples> => {
  const { threads, rounds, mostMs, prompts } = options;
  const samples = new Samples();
  const shuffle = shuffler(threads);
  const answerMs = await aloneMs(sends[1], arms[0]?.draw.from[0] ?? null, prompts);
  const started = performance.now();
  for (let round = 1; round <= rounds && performance.now() - started < mostMs; round += 1) {
    for (const arm of shuffle(arms.filter((one) => one.threads.includes(threads)))) {
      const arrivals = seededRandom(round + 0.25);
      const crowd = await runCrowd({
        clock: systemClock,
        // Four times what the rows would serve if a row cost the others nothing: more than any engine can.
        gapMs: () => exponentialMs(arrivals, answerMs / arm.rows / 4),
        next: asksOf(arm, prompts, round),
        mostOpen: arm.rows + queue,
        send: sends[arm.rows],
        answers: blockOf(arm).answers,
      });
      samples.add(arm, crowd);
    }
    console.error(`mixed: ${threads} thread(s), round ${round} of ${rounds}`);
  }
  return samples;
};

/** One adapter is served the fastest way that there is: in batches or one request at a time. */
const ratiosOf = (samples: Samples, suffix: string): Record<string, number> => {
  const overSame = (arm: string, same: string) => samples.speedUpOverBest(arm, [same, 'same_sequential']);
  const ratios = {
    mixed8_over_same8: overSame('mixed8', 'same8'),
    mixed8_over_sequential: samples.speedUp('mixed8', 'sequential8'),
    mixed4_over_same4: overSame('mixed4', 'same4'),
    mixed_ranks8_over_same8: overSame('mixed_ranks8', 'same8'),
    mixed_ranks8_int8_over_same8: overSame('mixed_ranks8_int8', 'same8'),
    mixed8_of8_over_same8: overSame('mixed8_of8', 'same8'),
    same8_over_base8: samples.speedUp('same8', 'base8'),
    same8_over_same_sequential: samples.speedUp('same8', 'same_sequential'),
  };
  return Object.fromEntries(
    Object.entries(ratios).flatMap(([key, value]) =>
      value === undefined ? [] : [[key.concat(suffix), value]],
    ),
  );
};

/**
 * Tokens per second of requests with many adapters over those with one, rows always full: requests arrive at random
 * moments, more of them than can be served, and wait in a bounded queue; every answer has 32 tokens. Blocks of all arms
 * in random order within a round.
 */
export const mixed = async (): Promise<Report> => {
  using scratch = scratchFolder();
  const model = benchBase('mixed');
  const results: Record<string, Report['results'][string]> = {};
  const ratios: Record<string, number> = {};
  const setup: Record<string, string | number> = {};
  const texts = promptsOf(model.modelDir).long;
  const prompts = promptLengths.map((length, i) => (texts[i] ?? []).slice(0, length));
  let files: AllFiles | undefined;
  for (const plan of plans) {
    const start = (rows: Rows, room: number) =>
      benchEngine({
        modelDir: model.modelDir,
        adapterBudgetBytes: room * mebibyte,
        threads: plan.threads,
        // As a node does by default.
        spin: true,
        maxConcurrent: rows,
        maxQueue: 4 * rows + queue,
      });
    await using eight = await start(8, 768);
    await using four = await start(4, 256);
    await using one = await start(1, 256);
    files ??= await makeAll(model, eight, scratch.path);
    const { float16, int8 } = files;
    await loadAll(eight, ...Object.values(float16), ...Object.values(int8));
    for (const engine of [four, one]) await loadAll(engine, float16[8]);
    const names = { float16: namesOf(float16), int8: namesOf(int8) };
    const sampling = noEnd(model.modelDir);
    const sends = {
      8: sendTo(eight, { sampling }),
      4: sendTo(four, { sampling }),
      1: sendTo(one, { sampling }),
    };
    await useOnce(
      sends[8],
      Object.values(names).flatMap((ranks) => Object.values(ranks).flat()),
      prompts,
    );
    for (const send of [sends[4], sends[1]]) await useOnce(send, names.float16[8].slice(0, 4), prompts);
    const arms = armsOf(names).filter(({ name }) => chosenArms?.includes(name) ?? true);
    console.error(`mixed: ${plan.threads} thread(s), everything is ready`);
    const samples = await measure(sends, arms, { ...plan, prompts });
    for (const [key, values] of samples.all) results[key.concat(plan.suffix)] = variant(values);
    Object.assign(ratios, ratiosOf(samples, plan.suffix));
    setup[`blocks_not_full${plan.suffix}`] = samples.blocksNotFull;
    setup[`short_answers${plan.suffix}`] = `${samples.shortAnswers} of ${samples.answers}`;
  }
  return report('mixed', 'tps: tokens per second; gap between tokens, first token: ms', {
    results,
    ratios,
    setup: {
      model: model.label,
      threads: '2; 1 in keys with _t1',
      prompt_tokens: promptLengths.join(' '),
      answer_tokens: answerTokens,
      queue,
      ...setup,
    },
  });
};
