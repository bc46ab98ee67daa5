import { Piscina } from 'piscina';
import { type Settled, unsettle } from '../../errors/across-threads.ts';
import type { GraphFacts } from './graph-facts.ts';

/** Reads graphs off the thread that serves. */
export type GraphThread = AsyncDisposable & { read(path: string): Promise<GraphFacts> };

/** One thread, which ends after each graph. Close it with `await using`. */
export const startGraphThread = (): GraphThread => {
  const pool = new Piscina({
    filename: new URL('./graph-worker.ts', import.meta.url).href,
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: 0,
  });
  return {
    read: async (path) => {
      const settled: Settled<GraphFacts> = await pool.run(path);
      return unsettle(settled);
    },
    [Symbol.asyncDispose]: () => pool.destroy(),
  };
};
