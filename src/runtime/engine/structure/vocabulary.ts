import { z } from 'zod';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { ModelFolder } from '../model/folder.ts';
import { openTokenTexts } from '../model/token-text.ts';
import { readTokenizerFile, type TokenizerFile } from '../model/tokenizer-config.ts';

/** Special tokens are told by a byte that no text has. */
const special = 0xff;

const withVocabulary = z.object({
  vocab: z.union([z.record(z.string(), z.int().nonnegative()), z.array(z.tuple([z.string(), z.number()]))]),
});

const tokensOf = (file: TokenizerFile): ReadonlyMap<number, string> => {
  const model = withVocabulary.safeParse(file['model']);
  if (!model.success) {
    const what = `the tokenizer of the base model has no vocabulary that is known: ${z.prettifyError(model.error)}`;
    throw new AdaptletError('STRUCTURE_NOT_AVAILABLE', what, {
      advice: 'Use a base model whose tokenizer.json is of the kind BPE, Unigram or WordPiece.',
    });
  }
  const { vocab } = model.data;
  const entries = Array.isArray(vocab)
    ? vocab.map(([token], id) => [id, token] as const)
    : Object.entries(vocab).map(([token, id]) => [id, token] as const);
  return new Map(entries);
};

/** Bytes of a token; none of one that never comes. */
const bytesOf = ({ token, bytes }: { readonly token: string; readonly bytes?: readonly number[] }) => {
  if (bytes !== undefined) return Uint8Array.from(bytes);
  return token === '' ? new Uint8Array() : Uint8Array.from([special, ...Buffer.from(token)]);
};

export type VocabularyOf = {
  readonly model: ModelFolder;
  /** Logits of a token. */
  readonly vocabSize: number;
  readonly eosIds: readonly number[];
};

/**
 * The vocabulary of a base model, as native/token-masks reads it.
 * @throws MODEL_INVALID, STRUCTURE_NOT_AVAILABLE
 */
export const readVocabulary = ({ model, vocabSize, eosIds }: VocabularyOf): Uint8Array => {
  const file = readTokenizerFile(model);
  const tokens = tokensOf(file);
  const describe = openTokenTexts((id) => tokens.get(id), file);
  const words = Array.from({ length: vocabSize }, (_, id) => bytesOf(describe(id)));
  const ends = eosIds.filter((id) => id < vocabSize);
  const numbers = Uint32Array.from([vocabSize, ends.length, ...words.map(({ length }) => length), ...ends]);
  return Buffer.concat([new Uint8Array(numbers.buffer), ...words]);
};
