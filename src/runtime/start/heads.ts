import { join } from 'node:path';
import { createCompiler } from '../adapter/compiler.ts';
import { untilReady } from '../base-model/until-ready.ts';
import { EncoderHeads } from '../classifiers/encoder-heads.ts';
import { headBytesOf, tooLarge } from '../classifiers/encoder-memory.ts';
import { startEngine } from '../engine/client/client.ts';
import { residentBytesOf } from '../machine/resident-bytes.ts';
import { openCompiled } from './compiled.ts';
import type { Disk } from './disk.ts';
import { classifierBase } from './node-disk.ts';
import type { RuntimeParts } from './parts.ts';

/** Texts that run together, and those that wait; who finds no place is told so at once. */
const room = { maxConcurrent: 16, maxQueue: 64, maxBatch: 8 };

export type Encoder = {
  readonly heads: EncoderHeads;
  /** What its process may take, and what it takes now; 0 where nobody can tell. */
  readonly budgetBytes: number;
  readonly residentBytes: () => number;
  /** What it has still to take. */
  readonly awaitedBytes: () => number;
};

/**
 * The encoder that classifiers of routes run, in a process of its own; the stack ends it. It is started and not waited for: one that
 * cannot be used is given up, and its classifiers say why. Undefined: the settings name none.
 */
export const openHeads = async (
  parts: RuntimeParts,
  { nodeDisk, artifacts, store }: Pick<Disk, 'nodeDisk' | 'artifacts' | 'store'>,
  stack: AsyncDisposableStack,
): Promise<Encoder | undefined> => {
  const { settings, clock, logger } = parts;
  const { classifierModel: modelDir, classifierMemory: budgetBytes, dataDir, maxRank } = settings;
  if (modelDir === undefined) return undefined;
  const folder = await openCompiled('classifier-compiled', parts, { store });
  const cacheDir = join(dataDir, classifierBase);
  const engine = startEngine({
    modelDir,
    cacheDir,
    cacheRoomBytes: () => nodeDisk.preparedRoom(cacheDir),
    adapterBudgetBytes: headBytesOf(budgetBytes),
    threads: 1,
    onnxRuntimeLibrary: settings.onnxRuntimeLibrary,
    loraOperator: settings.loraOperator,
    ...room,
    stallTimeoutMs: settings.stallTimeout,
    clock,
    logger: logger.child({ engine: 'classifiers' }),
  });
  nodeDisk.countWhenReady(engine);
  stack.defer(() => engine.close());
  const compiler = stack.use(createCompiler({ folder, log: logger, workers: 1, maxRank }));
  const heads = new EncoderHeads({ engine, compiler, artifacts, clock, log: logger });
  stack.defer(() => heads.close());
  const residentBytes = (): number => residentBytesOf(engine.pid) ?? 0;
  const start = async (): Promise<void> => {
    await untilReady(engine);
    const refusal = tooLarge(residentBytes(), budgetBytes);
    if (refusal !== undefined) throw refusal;
  };
  start().catch(async (error: unknown) => {
    logger.error({ err: error }, 'the encoder of classifiers cannot be used: they are uncertain');
    heads.giveUp(error);
    await engine.close();
  });
  const awaitedBytes = (): number => (heads.isClosed ? 0 : Math.max(0, budgetBytes - residentBytes()));
  return { heads, budgetBytes, residentBytes, awaitedBytes };
};
