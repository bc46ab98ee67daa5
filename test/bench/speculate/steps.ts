import { openGenerateModel } from '../../../src/runtime/engine/generate/generate-model.ts';
import { readModelGraph } from '../../../src/runtime/engine/model/folder.ts';
import { systemClock } from '../../../src/time/clock.ts';
import { benchCache } from '../base.ts';
import { shuffler } from '../rounds.ts';

export const stepSizes = [1, 2, 4, 6, 8] as const;
/** Tokens before a step. */
const context = 128;

/** Milliseconds of steps of the base model, by the tokens that each takes; sizes take turns. */
export const timeSteps = async (
  modelDir: string,
  { threads, rounds }: { readonly threads: number; readonly rounds: number },
): Promise<ReadonlyMap<number, readonly number[]>> => {
  const { sessions } = await openGenerateModel(modelDir, readModelGraph(modelDir), {
    cacheDir: benchCache('engine'),
    threads,
    clock: systemClock,
    warn: (message) => console.error(`speculate: ${message}`),
    doing: () => undefined,
    signal: new AbortController().signal,
  });
  const { base } = sessions;
  const feeds = base.feeds(new Map());
  const cache = base.newCache(context + Math.max(...stepSizes));
  const ids = Array.from({ length: context }, (_, at) => 500 + 7 * at);
  await base.prepare(feeds, ids, cache, [context - 1])();
  const times = new Map<number, number[]>(stepSizes.map((size) => [size, []]));
  const shuffle = shuffler(threads);
  for (let round = 0; round < rounds; round += 1) {
    for (const size of shuffle(stepSizes)) {
      cache.advance(context);
      const tokens = ids.slice(0, size);
      const started = performance.now();
      await base.prepare(feeds, tokens, cache, [...tokens.keys()])();
      times.get(size)?.push(performance.now() - started);
    }
  }
  cache.release();
  feeds.release();
  sessions.release();
  return times;
};
