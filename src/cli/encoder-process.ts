import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { untilReady } from '../runtime/base-model/until-ready.ts';
import { type EngineClient, type EngineOptions, startEngine } from '../runtime/engine/client/client.ts';
import { refuseTask } from '../runtime/engine/tasks.ts';
import type { Log } from '../telemetry/log.ts';
import { systemClock } from '../time/clock.ts';

const toStderr = (keys: object, message: string): void => {
  process.stderr.write(`${message} ${JSON.stringify(keys)}\n`);
};
/** What a person hears of an encoder. */
export const encoderLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: toStderr,
  error: toStderr,
};

const stallTimeoutMs = 120_000;

/** An encoder in a process of its own, for as long as a command runs. */
export type EncoderProcess = AsyncDisposable & {
  readonly engine: EngineClient;
  /** Of this command alone; it goes with the process. */
  readonly folder: string;
};

/** @throws TASK_UNSUPPORTED, those of the model */
export const startEncoder = async (
  options: Omit<EngineOptions, 'cacheDir' | 'stallTimeoutMs' | 'clock' | 'logger'>,
): Promise<EncoderProcess> => {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'adaptlet-encoder-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const engine = startEngine({
    ...options,
    modelDir: resolve(options.modelDir),
    cacheDir: join(folder, 'base'),
    stallTimeoutMs,
    clock: systemClock,
    logger: encoderLog,
  });
  stack.defer(() => engine.close());
  await untilReady(engine);
  const { task } = engine.info();
  if (task !== 'embed') throw refuseTask(task, 'embed');
  const held = stack.move();
  return { engine, folder, [Symbol.asyncDispose]: () => held.disposeAsync() };
};
