import { systemClock } from '../../../time/clock.ts';
import type { FromEngine, ToEngine } from '../protocol.ts';
import { EngineProcess } from './engine-process.ts';

/**
 * Entry point of the engine process. It talks to its parent over the IPC channel only and lives no longer than that
 * channel. Everything runs on this one thread: when a handler runs, no step does.
 */
const send = (message: FromEngine, sent?: () => void): void => {
  // Without a parent there is nobody to tell: `disconnect`, which comes next, ends the process.
  if (process.connected) process.send?.(message, undefined, undefined, () => sent?.());
  else sent?.();
};
const exit = (code: number): void => {
  process.exit(code);
};
const engine = new EngineProcess({
  send,
  exit,
  warn: (message) => process.stderr.write(`${message}\n`),
  clock: systemClock,
  random: Math.random,
});

process.on('message', (message: ToEngine) => {
  engine.receive(message);
});
process.on('disconnect', () => {
  engine.receive({ kind: 'stop' });
});
// A terminal and a pod's stop send these to every process: the parent says when this one ends.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
