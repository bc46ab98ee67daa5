import { settle } from '../../errors/across-threads.ts';
import { readGraphFacts } from './graph-facts.ts';

/** Entry point of the thread that reads graphs, beside the serving thread: a graph may hold its weights. */
export default (path: string) => settle(() => readGraphFacts(path));
