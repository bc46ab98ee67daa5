import type { CallError } from './client.ts';
import type { TestNode } from './node.ts';

export type Failure = { readonly code: string; readonly message: string };

/** Keeps asking, `width` requests at a time, until stopped; every text must be one of `allowed`. */
export const traffic = (
  node: () => TestNode,
  options: {
    readonly model: string;
    readonly prompt: string;
    readonly allowed: ReadonlySet<string>;
    readonly width?: number;
  },
) => {
  let running = true;
  let answered = 0;
  const failures: Failure[] = [];
  const wrong: string[] = [];
  const adapters = new Map<string, number>();
  const loop = async (lane: number): Promise<void> => {
    for (let i = 0; running; i++) {
      try {
        const { text, served } = await node().client.ask({
          model: options.model,
          prompt: options.prompt,
          user: `t${lane}-${i % 50}`,
        });
        answered++;
        adapters.set(served.adapter, (adapters.get(served.adapter) ?? 0) + 1);
        if (!options.allowed.has(text)) wrong.push(text);
      } catch (error) {
        const { code, message } = error as CallError;
        failures.push({ code, message });
        // A client that was closed fails at once: others must get a turn, such as whoever stops this.
        await new Promise(setImmediate);
      }
    }
  };
  const lanes = Promise.all(Array.from({ length: options.width ?? 4 }, (_, lane) => loop(lane)));
  return {
    answered: () => answered,
    failures,
    wrong,
    adapters,
    async stop(): Promise<void> {
      running = false;
      await lanes;
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await this.stop();
    },
  };
};
