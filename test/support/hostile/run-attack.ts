import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { AttackName, Target } from './attacks.ts';

export type RunningAttack = {
  /** How many tries ended how, up to now. */
  readonly ends: Readonly<Record<string, number>>;
  /** Ends it and every connection of it. */
  stop(): Promise<void>;
};

/** Attacks from a thread of its own, so that the one that measures does not wait for it. */
export const runAttack = async (name: AttackName, target: Target): Promise<RunningAttack> => {
  const worker = new Worker(new URL('./attacker.ts', import.meta.url), { workerData: { name, target } });
  let ends: Readonly<Record<string, number>> = {};
  const over = Promise.withResolvers<void>();
  worker.on('message', (message: unknown) => {
    if (typeof message !== 'object' || message === null || !('ends' in message)) return;
    ends = message.ends as Readonly<Record<string, number>>;
    if ('over' in message) over.resolve();
  });
  worker.once('error', (error) => over.reject(error));
  await once(worker, 'message');
  return {
    get ends() {
      return ends;
    },
    async stop() {
      worker.postMessage('stop');
      await over.promise;
      await worker.terminate();
    },
  };
};
