import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { AttackName, Target } from './attacks.ts';

export type RunningAttack = {
  readonly pid: number;
  /** How many tries ended how, up to now. */
  readonly ends: Readonly<Record<string, number>>;
  /** Ends it and every connection of it. */
  stop(): Promise<void>;
};

/** It gets the processor time that nobody else wants (SCHED_IDLE of Linux). */
const idly = { execPath: 'chrt', execArgv: ['--idle', '0', process.execPath] };

const program = fileURLToPath(new URL('./attacker.ts', import.meta.url));

/**
 * Attacks from a process of its own. `isIdle`: its own work costs nobody else processor time, so that what others lose is what the
 * target does for it. Linux alone.
 */
export const runAttack = async (
  name: AttackName,
  target: Target,
  { isIdle = false } = {},
): Promise<RunningAttack> => {
  const child = fork(program, [name, JSON.stringify(target)], isIdle ? idly : {});
  let ends: Readonly<Record<string, number>> = {};
  const over = Promise.withResolvers<void>();
  child.on('message', (message: unknown) => {
    if (typeof message !== 'object' || message === null || !('ends' in message)) return;
    ends = message.ends as Readonly<Record<string, number>>;
    if ('over' in message) over.resolve();
  });
  child.once('error', (error) => over.reject(error));
  child.once('exit', (code, signal) => over.reject(new Error(`the attacker ended (${code ?? signal})`)));
  await Promise.race([once(child, 'message'), over.promise]);
  return {
    pid: child.pid ?? -1,
    get ends() {
      return ends;
    },
    async stop() {
      const exit = once(child, 'exit');
      child.send('stop');
      await over.promise;
      await exit;
    },
  };
};
