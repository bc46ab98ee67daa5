import { parentPort } from 'node:worker_threads';
import { settle } from '../../errors/across-threads.ts';
import { atMostEvery } from '../../time/at-most-every.ts';
import { type CompileInput, compileWithin } from './compile.ts';

/** What a thread is asked. */
export type CompileTask = CompileInput & { readonly roomBytes: number };

/** What a thread says by itself while it compiles: the file that it makes. */
export type SignOfLife = { readonly outFile: string };

const signOfLifeMs = 1_000;

/** Entry point of the pool's threads. */
const compile = ({ roomBytes, ...input }: CompileTask) => {
  const sign: SignOfLife = { outFile: input.outFile };
  const alive = atMostEvery(
    signOfLifeMs,
    () => performance.now(),
    () => parentPort?.postMessage(sign),
  );
  return settle(() => compileWithin(input, roomBytes, alive));
};

export default compile;
