import { join } from 'node:path';
import { programFolder } from './process.ts';
import { type ProgramResult, runProgram } from './program.ts';

const program =
  (name: string) =>
  (...args: readonly string[]): Promise<ProgramResult> =>
    runProgram(join(programFolder(), name), args);

/** Runs `adaptlet` as a person would. */
export const adaptlet = program('adaptlet');
/** Runs the kubectl plug-in, by its own name. */
export const kubectlAdaptlet = program('kubectl-adaptlet');
