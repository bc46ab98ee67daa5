import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import type { CompiledAdapter } from '../residency/ports.ts';
import { type CompileInput, compileAdapter } from './compile.ts';

/** Errors lose their class and code between threads, so the ones of the catalogue travel as values. */
export type CompileOutcome =
  | { readonly ok: true; readonly compiled: CompiledAdapter }
  | { readonly ok: false; readonly code: ErrorCode; readonly what: string; readonly cause: unknown };

/** Entry point of the pool's threads. */
const compile = async (input: CompileInput): Promise<CompileOutcome> => {
  try {
    return { ok: true, compiled: await compileAdapter(input) };
  } catch (error) {
    if (!(error instanceof AdaptletError)) throw error;
    const cause = error.cause instanceof Error ? new Error(error.cause.message) : undefined;
    return { ok: false, code: error.code, what: error.what, cause };
  }
};

export default compile;
