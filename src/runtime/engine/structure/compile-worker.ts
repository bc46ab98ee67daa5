import { settle } from '../../../errors/across-threads.ts';
import type { Structure } from '../engine.ts';
import { sourceOf } from './calls-grammar.ts';
import { checkStructure } from './check-structure.ts';
import { Instance, readModule } from './instance.ts';
import { readVocabulary, type VocabularyOf } from './vocabulary.ts';
import type { MaskModule } from './web-assembly.ts';

export type CompileTask = VocabularyOf & { readonly structure: Structure };

/** The module, and the memory of an instance that has a grammar. */
export type Compiled = { readonly module: MaskModule; readonly memory: Uint8Array };

/** The grammar is not asked here what can only follow. */
const unknown = (): undefined => undefined;

/** The memory of an instance that has the vocabulary alone. */
let opened: Promise<Compiled> | undefined;
/** It compiled before, and can again: a new one costs a collection of garbage every few times. */
let spare: Instance | undefined;

const open = async (of: VocabularyOf): Promise<Compiled> => {
  const module = await readModule();
  const instance = new Instance(module, unknown);
  instance.open(readVocabulary(of));
  return { module, memory: instance.copy() };
};

const run = async ({ structure, ...of }: CompileTask): Promise<Compiled> => {
  checkStructure(structure);
  opened ??= open(of).catch((error: unknown) => {
    opened = undefined;
    throw error;
  });
  const { module, memory } = await opened;
  const instance = spare ?? new Instance(module, unknown);
  spare = undefined;
  instance.become(memory);
  try {
    instance.compile(sourceOf(structure));
    return { module, memory: instance.copy() };
  } finally {
    // What grew would have the next one send more than it is.
    if (!instance.isBroken && instance.bytes === memory.length) spare = instance;
  }
};

/** Entry point of the thread that compiles structures, beside the one that runs steps. */
export default (task: CompileTask) => settle(() => run(task));
