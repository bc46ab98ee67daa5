import type { CallError } from './client.ts';
import type { TestNode } from './node.ts';

/** An answer or a failure of one request; times are monotonic. */
export type Testimony = {
  readonly runtime: number;
  /** Which process of the runtime: a killed one begins the next. */
  readonly life: number;
  readonly lane: number;
  readonly model: string;
  readonly startedAt: number;
  readonly endedAt: number;
} & ({ readonly arm: string; readonly digest: string } | { readonly code: string; readonly message: string });

/** The runtimes as they are now; `undefined` while one is away on purpose. */
export type Living = (runtime: number) => { readonly node: TestNode; readonly life: number } | undefined;

/**
 * Asks every runtime for every model all the time, and remembers each answer. A request whose runtime was killed
 * meanwhile is no failure; every other one is.
 */
export const witness = (
  living: Living,
  options: {
    readonly runtimes: number;
    readonly models: readonly string[];
    readonly prompt: string;
    /** Between two requests of a lane: so many runtimes share the machine. */
    readonly pauseMs: number;
  },
) => {
  let running = true;
  const seen: Testimony[] = [];
  let lane = 0;
  const ask = async (runtime: number, model: string, own: number): Promise<void> => {
    for (let i = 0; running; i++) {
      await new Promise((resolve) => setTimeout(resolve, options.pauseMs));
      const now = living(runtime);
      if (now === undefined) continue;
      const { node, life } = now;
      const startedAt = performance.now();
      const about = () => ({ runtime, life, lane: own, model, startedAt, endedAt: performance.now() });
      try {
        const { served } = await node.client.ask({
          model,
          prompt: options.prompt,
          user: `u${own}-${i % 40}`,
        });
        seen.push({ ...about(), arm: served.arm, digest: served.digest });
      } catch (error) {
        if (living(runtime)?.life !== life) continue;
        const { code, message } = error as CallError;
        seen.push({ ...about(), code, message });
      }
    }
  };
  const lanes = Promise.all(
    Array.from({ length: options.runtimes }, (_, runtime) =>
      options.models.map((model) => ask(runtime, model, lane++)),
    ).flat(),
  );
  return {
    seen: seen as readonly Testimony[],
    async stop(): Promise<void> {
      running = false;
      await lanes;
    },
  };
};
