import { systemClock } from '../../../time/clock.ts';
import { type FromEngine, type ToEngine, toWire } from '../protocol.ts';
import type { EngineProcess } from './engine-process.ts';

/**
 * Entry point of the engine process. It talks to its parent over the IPC channel only and lives no longer than that
 * channel. Steps of ONNX Runtime, the tokens of long texts and structures that are compiled have threads of their own. All else is
 * done on this one: while a handler runs, no step is begun.
 */
const send = (message: FromEngine, sent?: () => void): void => {
  // Without a parent there is nobody to tell: `disconnect`, which comes next, ends the process.
  if (process.connected) process.send?.(message, undefined, undefined, () => sent?.());
  else sent?.();
};
const exit = (code: number): void => {
  process.exit(code);
};

/** With it comes ONNX Runtime: a library that cannot be loaded is an answer to the parent, too. */
const load = async (): Promise<EngineProcess | undefined> => {
  try {
    const module = await import('./engine-process.ts');
    return new module.EngineProcess({
      send,
      exit,
      warn: (message) => process.stderr.write(`${message}\n`),
      clock: systemClock,
      random: Math.random,
    });
  } catch (error) {
    send({ kind: 'failed', error: toWire(error) }, () => {
      exit(1);
    });
    return undefined;
  }
};
const engine = load();
const receive = async (message: ToEngine): Promise<void> => {
  (await engine)?.receive(message);
};

process.on('message', (message: ToEngine) => {
  void receive(message);
});
process.on('disconnect', () => {
  void receive({ kind: 'stop' });
});
// A terminal and a pod's stop send these to every process: the parent says when this one ends.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
