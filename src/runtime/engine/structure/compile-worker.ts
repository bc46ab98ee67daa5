import { settle } from '../../../errors/across-threads.ts';
import type { Structure } from '../engine.ts';
import type { WebAssemblyModule } from '../web-assembly.ts';
import { sourceOf } from './calls-grammar.ts';
import { checkStructure } from './check-structure.ts';
import { Instance } from './instance.ts';
import { readVocabulary, type VocabularyOf } from './vocabulary.ts';

/** `module`: the one that all instances of the process are of. */
export type CompileTask = VocabularyOf & {
  readonly module: WebAssemblyModule;
  readonly structure: Structure;
};

/** The grammar is not asked here what can only follow. */
const unknown = (): undefined => undefined;

/** The memory of an instance that has the vocabulary alone. */
let opened: Uint8Array | undefined;
/** It compiled before, and can again: a new one costs a collection of garbage every few times. */
let spare: Instance | undefined;

const open = (module: WebAssemblyModule, of: VocabularyOf): Uint8Array => {
  const instance = new Instance(module, unknown);
  instance.open(readVocabulary(of));
  return instance.copy();
};

const run = ({ module, structure, ...of }: CompileTask): Uint8Array => {
  checkStructure(structure);
  opened ??= open(module, of);
  const instance = spare ?? new Instance(module, unknown);
  spare = undefined;
  instance.become(opened);
  try {
    instance.compile(sourceOf(structure));
    return instance.copy();
  } finally {
    // What grew would have the next one send more than it is.
    if (!instance.isBroken && instance.bytes === opened.length) spare = instance;
  }
};

/** Entry point of the thread that compiles structures, beside the one that runs steps: the memory of an instance that has the grammar. */
export default (task: CompileTask) => settle(() => run(task));
