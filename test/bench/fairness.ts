import { seededRandom } from '../../src/runtime/engine/random.ts';
import { systemClock } from '../../src/time/clock.ts';
import { benchBase, benchEngine, scratchFolder } from './base.ts';
import { promptsOf } from './peers/prompts.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';
import { loadAll, makeAdapters } from './traffic/adapters.ts';
import type { Ask, Send } from './traffic/crowd.ts';
import { Greedy } from './traffic/greedy.ts';
import { noEnd } from './traffic/no-end.ts';
import { exponentialMs, pick } from './traffic/random-arrivals.ts';
import { sendTo } from './traffic/send.ts';
import { tokensPerSecond } from './traffic/window.ts';

const threads = 2;
const rows = 8;
const greedy = { open: 64, promptTokens: 64, answerTokens: 200 };
const modest = { promptTokens: 32, answerTokens: 16, meanWaitMs: 200 };
const rounds = roundsOf(3);
const requestsPerBlock = 15;
/** No further request of a block after this, and an answer that has not begun after this counts as begun then. */
const blockMs = 20_000;
const giveUpMs = 10_000;
/** How long the greedy one is measured before the modest one comes. */
const greedyAloneMs = 3000;
const arms = ['alone', 'beside_greedy', 'beside_greedy_adapter'] as const;
type Arm = (typeof arms)[number];

const wait = (ms: number): Promise<void> => new Promise((resolve) => systemClock.after(ms, resolve));

/** Milliseconds to the first token. */
const firstTokenMs = async (send: Send, ask: Ask): Promise<number> => {
  const started = performance.now();
  let first: number | undefined;
  const late = new AbortController();
  const cancel = systemClock.after(giveUpMs, () => late.abort());
  try {
    await send(ask, () => (first ??= performance.now() - started), late.signal);
  } catch (error) {
    if (!late.signal.aborted) throw error;
  } finally {
    cancel();
  }
  return first ?? giveUpMs;
};

/** Short requests, one at a time at random moments. */
const askModestly = async (
  send: Send,
  options: { readonly ask: () => Ask; readonly random: () => number },
): Promise<readonly number[]> => {
  const times: number[] = [];
  const started = performance.now();
  while (times.length < requestsPerBlock && performance.now() - started < blockMs) {
    await wait(exponentialMs(options.random, modest.meanWaitMs));
    times.push(await firstTokenMs(send, options.ask()));
  }
  return times;
};

class Samples {
  readonly all = new Map<string, number[]>();

  add(key: string, values: readonly number[]): void {
    this.all.set(key, [...this.get(key), ...values]);
  }

  get(key: string): readonly number[] {
    return this.all.get(key) ?? [];
  }
}

/** Who sends what in an arm: tenants of their own, or one tenant with an adapter for each of the two. */
type Cast = { readonly greedy: Send; readonly modest: Send; readonly greedyAdapters: readonly string[] };

const besideGreedy = async (
  cast: Cast,
  options: {
    readonly arm: Arm;
    readonly samples: Samples;
    readonly prompt: (tokens: number) => readonly number[];
    readonly greedyTokens: number;
    readonly ask: () => Promise<readonly number[]>;
  },
): Promise<void> => {
  const { arm, samples, prompt } = options;
  const { greedyAdapters } = cast;
  await using crowd = new Greedy({
    clock: systemClock,
    send: cast.greedy,
    open: greedy.open,
    next: (index) => ({
      adapter: greedyAdapters[index % greedyAdapters.length] ?? null,
      prompt: prompt(greedy.promptTokens),
      maxTokens: options.greedyTokens,
    }),
  });
  await crowd.begun(rows);
  const fromMs = performance.now();
  await wait(greedyAloneMs);
  const cameMs = performance.now();
  samples.add(`ttft_${arm}`, await options.ask());
  const leftMs = performance.now();
  const speed = (window: { readonly fromMs: number; readonly toMs: number }) =>
    tokensPerSecond([crowd], window);
  samples.add(`greedy_tps_before_${arm}`, [speed({ fromMs, toMs: cameMs })]);
  samples.add(`greedy_tps_${arm}`, [speed({ fromMs: cameMs, toMs: leftMs })]);
};

const ratiosOf = (samples: Samples): Record<string, number> => {
  const of = (arm: Arm, q: number): number => quantile(samples.get(`ttft_${arm}`), q);
  const ratios: Record<string, number> = {};
  for (const arm of ['beside_greedy', 'beside_greedy_adapter'] as const) {
    const label = arm.replace('_greedy', '');
    ratios[`p99_${label}_over_alone`] = of(arm, 0.99) / of('alone', 0.99);
    ratios[`median_${label}_over_alone`] = of(arm, 0.5) / of('alone', 0.5);
    const tps = (key: string): number => quantile(samples.get(key), 0.5);
    ratios[`greedy_tps_${label}_over_before`] = tps(`greedy_tps_${arm}`) / tps(`greedy_tps_before_${arm}`);
  }
  return ratios;
};

/**
 * Time to first token of a tenant with one short request at a time, alone and beside one that keeps 64 long ones open;
 * and the same for two adapters of one tenant.
 */
export const fairness = async (): Promise<Report> => {
  using scratch = scratchFolder();
  const model = benchBase('fairness');
  await using engine = await benchEngine({
    modelDir: model.modelDir,
    adapterBudgetBytes: 256 << 20,
    threads,
    maxConcurrent: rows,
    maxQueue: 2 * greedy.open,
  });
  const files = await makeAdapters(model, engine.info(), { folder: scratch.path, rank: 8, count: rows + 1 });
  await loadAll(engine, files);
  const [own = '', ...others] = [...files.keys()].toReversed();
  const texts = promptsOf(model.modelDir).long;
  const random = seededRandom(1);
  const prompt = (tokens: number): readonly number[] => pick(random, texts).slice(0, tokens);
  // The tiny model has less room.
  const greedyTokens = Math.min(greedy.answerTokens, engine.info().contextLength - greedy.promptTokens);
  const samples = new Samples();
  const ask = (send: Send) => () =>
    askModestly(send, {
      random,
      ask: () => ({ adapter: own, prompt: prompt(modest.promptTokens), maxTokens: modest.answerTokens }),
    });
  const sampling = noEnd(model.modelDir);
  const casts: Readonly<Record<Arm, Cast>> = {
    alone: {
      greedy: sendTo(engine, { sampling }),
      modest: sendTo(engine, { sampling, tenant: 'modest' }),
      greedyAdapters: [],
    },
    beside_greedy: {
      greedy: sendTo(engine, { sampling, tenant: 'greedy' }),
      modest: sendTo(engine, { sampling, tenant: 'modest' }),
      greedyAdapters: others,
    },
    beside_greedy_adapter: {
      greedy: sendTo(engine, { sampling, tenant: 'one' }),
      modest: sendTo(engine, { sampling, tenant: 'one' }),
      greedyAdapters: others.slice(0, 1),
    },
  };
  // Each adapter once, unmeasured.
  for (const adapter of files.keys())
    await firstTokenMs(casts.alone.modest, { adapter, prompt: prompt(modest.promptTokens), maxTokens: 2 });
  const shuffle = shuffler(1);
  for (let round = 1; round <= rounds; round += 1) {
    for (const arm of shuffle(arms)) {
      const cast = casts[arm];
      if (arm === 'alone') samples.add('ttft_alone', await ask(cast.modest)());
      else await besideGreedy(cast, { arm, samples, prompt, greedyTokens, ask: ask(cast.modest) });
      console.error(`fairness: ${arm}, round ${round} of ${rounds}`);
    }
  }
  return report('fairness', 'ttft: ms to first token; tps: tokens per second', {
    results: Object.fromEntries([...samples.all].map(([key, values]) => [key, variant(values)])),
    ratios: ratiosOf(samples),
    setup: {
      model: model.label,
      threads,
      rows,
      greedy: `${greedy.open} open requests, prompts of ${greedy.promptTokens} tokens, answers of ${greedyTokens}`,
      greedy_adapters: others.length,
      modest: `1 request at a time, prompts of ${modest.promptTokens} tokens, answers of ${modest.answerTokens}`,
      modest_mean_wait_ms: modest.meanWaitMs,
    },
  });
};
