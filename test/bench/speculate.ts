import { join } from 'node:path';
import type { EngineClient } from '../../src/runtime/engine/client/client.ts';
import { modelsFolder, smollm } from '../support/models.ts';
import { benchEngine, compileFor, scratchFolder, timedAnswer } from './base.ts';
import { quantile, type Report, report, variant } from './report.ts';
import { roundsOf, shuffler } from './rounds.ts';
import { stepSizes, timeSteps } from './speculate/steps.ts';
import { type Workload, workloads } from './speculate/workloads.ts';

const threads = 2;
const rounds = roundsOf(3);
const stepRounds = 40;
const arms = ['with', 'without'] as const;
/** Kinds of requests, and `steps`, to measure these only: ADAPTLET_BENCH_PARTS=steps,json,prose. */
const only = process.env['ADAPTLET_BENCH_PARTS']?.split(',');
const isAsked = (part: string): boolean => only?.includes(part) ?? true;

/** Tokens after the first one, and how long they took. */
type Spent = { tokens: number; ms: number };

const ask = async (
  engine: EngineClient,
  { adapter, prompts, maxTokens, sampling }: Workload,
  {
    index,
    scope,
    speculate,
  }: { readonly index: number; readonly scope: string; readonly speculate: boolean },
): Promise<Spent> => {
  const prompt = prompts[index];
  if (prompt === undefined) throw new Error(`no prompt ${index}`);
  const { atMs } = await timedAnswer(engine, adapter, prompt, maxTokens, {
    ...sampling,
    seed: index,
    scope,
    speculate,
  });
  return { tokens: atMs.length - 1, ms: (atMs.at(-1) ?? 0) - (atMs[0] ?? 0) };
};

/**
 * Tokens per second of one request at a time, with speculation over without it: each request both ways, one after the other in
 * random order, on one engine; medians of these pairs, and of whole rounds. A round is a tenant of its own: it begins with nothing that was
 * answered before. And how long steps of several tokens take.
 */
export const speculate = async (): Promise<Report> => {
  const model = smollm();
  if (model === undefined) {
    throw new Error(`speculate: ${modelsFolder()} has no smollm2-135m (ADAPTLET_MODELS says where to look)`);
  }
  const ratios: Record<string, number> = {};
  const results: Record<string, ReturnType<typeof variant>> = {};
  for (const count of isAsked('steps') ? [1, 2] : []) {
    const times = await timeSteps(model.modelDir, { threads: count, rounds: stepRounds });
    const one = quantile(times.get(1) ?? [], 0.5);
    for (const size of stepSizes) {
      const values = times.get(size) ?? [];
      results[`step_of_${size}_threads_${count}_ms`] = variant(values);
      ratios[`step_of_${size}_over_1_threads_${count}`] = quantile(values, 0.5) / one;
    }
  }
  using folder = scratchFolder();
  await using engine = await benchEngine({
    modelDir: model.modelDir,
    adapterBudgetBytes: 64 << 20,
    threads,
    speculation: true,
  });
  const kinds = workloads(model).filter(({ name }) => isAsked(name));
  for (const adapter of new Set(kinds.flatMap((kind) => kind.adapter ?? []))) {
    const file = join(folder.path, `${adapter}.bin`);
    await compileFor(engine.info(), join(model.adapters, adapter), file);
    await engine.load(adapter, file);
  }
  const shuffle = shuffler(1);
  for (const kind of kinds) {
    // Once, unmeasured.
    await ask(engine, kind, { index: 0, scope: 'first', speculate: false });
    const ofRounds: number[] = [];
    const ofPairs: number[] = [];
    const speeds: Record<(typeof arms)[number], number[]> = { with: [], without: [] };
    for (let round = 0; round < rounds; round += 1) {
      const total = { with: { tokens: 0, ms: 0 }, without: { tokens: 0, ms: 0 } };
      for (const index of kind.prompts.keys()) {
        const pair = { with: Number.NaN, without: Number.NaN };
        for (const arm of shuffle(arms)) {
          const scope = `${kind.name} ${round}`;
          const { tokens, ms } = await ask(engine, kind, { index, scope, speculate: arm === 'with' });
          total[arm].tokens += tokens;
          total[arm].ms += ms;
          pair[arm] = (1000 * tokens) / ms;
          if (tokens > 0) speeds[arm].push(pair[arm]);
        }
        if (Number.isFinite(pair.with / pair.without)) ofPairs.push(pair.with / pair.without);
      }
      const speed = ({ tokens, ms }: Spent): number => tokens / ms;
      ofRounds.push(speed(total.with) / speed(total.without));
      console.error(
        `speculate: ${kind.name}, round ${round + 1} of ${rounds}: ${ofRounds.at(-1)?.toFixed(2)}`,
      );
    }
    for (const arm of arms) results[`${kind.name}_${arm}`] = variant(speeds[arm]);
    ratios[`${kind.name}_tokens_per_second`] = quantile(ofPairs, 0.5);
    ratios[`${kind.name}_tokens_per_second_of_rounds`] = quantile(ofRounds, 0.5);
  }
  return report('speculate', 'tokens per second after the first', {
    results,
    ratios,
    setup: {
      model: 'SmolLM2-135M int4',
      threads,
      rounds,
      step_rounds: stepRounds,
      ...Object.fromEntries(
        kinds.map(({ name, adapter, prompts }) => [name, `${adapter ?? 'base'}, ${prompts.length} prompts`]),
      ),
    },
  });
};
