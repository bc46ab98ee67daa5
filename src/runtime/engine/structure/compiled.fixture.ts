import { join } from 'node:path';
import { unsettle } from '../../../errors/across-threads.ts';
import type { Structure } from '../engine.ts';
import { openModelFolder } from '../model/folder.ts';
import { openTextCodec } from '../model/tokenizer.ts';
import { mayCome } from '../sampling/mask.ts';
import type { Compiled } from './compile-thread.ts';
import compile from './compile-worker.ts';
import { Grammar } from './grammar.ts';
import { Instance, readModule } from './instance.ts';
import type { VocabularyOf } from './vocabulary.ts';

const model = openModelFolder(
  join(import.meta.dirname, '../../../../test/fixtures/models/tiny/model/onnx-fp32'),
);

/** The tiny model: three special tokens, of which 2 ends an answer, and one for each byte. */
export const tinyVocabulary: VocabularyOf = { model, vocabSize: 259, eosIds: [2] };
export const tinyCodec = openTextCodec(model, tinyVocabulary.vocabSize);
const end = 2;

const maskModule = await readModule();

/** On this thread. */
export const compiled = async (structure: Structure): Promise<Compiled> => ({
  module: maskModule,
  memory: unsettle(await compile({ ...tinyVocabulary, module: maskModule, structure })),
});

export const grammarOf = async (structure: Structure): Promise<Grammar> => {
  const { module, memory } = await compiled(structure);
  return new Grammar(new Instance(module, (text) => tinyCodec.encodePart(text), memory));
};

export const ofSchema = (schema: unknown): Structure => ({ kind: 'json', source: JSON.stringify(schema) });

/** Tokens that a mask has, the text of each, and `undefined` for the end. */
export const allowed = (mask: Uint32Array): readonly (string | undefined)[] =>
  Array.from({ length: tinyVocabulary.vocabSize }, (_, id) => id)
    .filter((id) => mayCome(mask, id))
    .map((id) => (id === end ? undefined : tinyCodec.describe(id).token));

/** True when an answer may be this text as a whole. */
export const admits = (grammar: Grammar, text: string): boolean => {
  const mask = grammar.begin(false);
  try {
    for (const id of tinyCodec.encodePart(text)) {
      if (mask.isOver || !mayCome(mask.mask(), id)) return false;
      mask.took(id);
    }
    return mask.isOver || mayCome(mask.mask(), end);
  } finally {
    mask.release();
  }
};

/** A text that the masks let come, picked by `random`; undefined when it does not end in time. */
export const written = (grammar: Grammar, random: () => number, most = 300): string | undefined => {
  const mask = grammar.begin(false);
  const ids: number[] = [];
  try {
    while (ids.length < most) {
      if (mask.isOver) return tinyCodec.decode(ids);
      const may = mask.mask();
      const choices = Array.from({ length: tinyVocabulary.vocabSize }, (_, id) => id).filter((id) =>
        mayCome(may, id),
      );
      if (choices.includes(end) && random() < 0.5) return tinyCodec.decode(ids);
      const likely = choices.filter(
        (id) => id !== end && '"}]:,0123456789aefnot{['.includes(tinyCodec.describe(id).token),
      );
      const from = likely.length > 0 && random() < 0.8 ? likely : choices.filter((id) => id !== end);
      const id = from[Math.floor(random() * from.length)];
      if (id === undefined) return tinyCodec.decode(ids);
      ids.push(id);
      mask.took(id);
    }
    return undefined;
  } finally {
    mask.release();
  }
};
