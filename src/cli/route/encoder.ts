import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createCompiler } from '../../runtime/adapter/compiler.ts';
import { EncoderHeads } from '../../runtime/classifiers/encoder-heads.ts';
import { CompiledFolder } from '../../runtime/compiled/compiled-folder.ts';
import { settingsSchema } from '../../runtime/config/settings.ts';
import { systemClock } from '../../time/clock.ts';
import { encoderLog, startEncoder } from '../encoder-process.ts';
import type { OpenEncoder } from './offline.ts';

/** Milliseconds: what a person waits for need not be in time for a request. */
const patienceMs = 30_000;
const adapterBudgetBytes = 128 * 1024 * 1024;

/** The encoder of a folder for `onnx` classifiers of manifests; undefined: none was named. */
export const encoderIn = (modelDir: string | undefined): OpenEncoder | undefined => {
  if (modelDir === undefined) return undefined;
  return async (artifacts) => {
    await using stack = new AsyncDisposableStack();
    const { engine, folder } = stack.use(
      await startEncoder({
        modelDir,
        adapterBudgetBytes,
        threads: availableParallelism(),
        maxConcurrent: 1,
        maxQueue: 8,
      }),
    );
    const compiler = stack.use(
      createCompiler({
        folder: await CompiledFolder.open({ dir: join(folder, 'compiled') }),
        workers: 1,
        maxRank: settingsSchema.shape.maxRank.parse(undefined),
        log: encoderLog,
      }),
    );
    const parts = { engine, compiler, artifacts, clock: systemClock, log: encoderLog, patienceMs };
    const heads = new EncoderHeads(parts);
    stack.defer(() => heads.close());
    const held = stack.move();
    return { heads, [Symbol.asyncDispose]: () => held.disposeAsync() };
  };
};
