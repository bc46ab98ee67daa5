import { settle } from '../../errors/across-threads.ts';
import { type CompileInput, compileAdapter } from './compile.ts';

/** Entry point of the pool's threads. */
const compile = (input: CompileInput) => settle(() => compileAdapter(input));

export default compile;
