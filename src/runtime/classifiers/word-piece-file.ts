import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { AdaptletError } from '../../errors/adaptlet-error.ts';
import type { ModelFolder } from '../engine/model/folder.ts';
import type { Normalization } from './word-pieces.ts';

const fileSchema = z.looseObject({
  added_tokens: z
    .array(z.looseObject({ id: z.int(), content: z.string(), special: z.boolean().default(false) }))
    .default([]),
  normalizer: z.looseObject({
    type: z.literal('BertNormalizer'),
    lowercase: z.boolean().default(true),
    strip_accents: z.boolean().nullish(),
  }),
  pre_tokenizer: z.looseObject({ type: z.literal('BertPreTokenizer') }),
  model: z.looseObject({
    type: z.literal('WordPiece'),
    continuing_subword_prefix: z.literal('##').default('##'),
    vocab: z.record(z.string(), z.int().min(0)),
  }),
});

/** The vocabulary of an encoder of the BERT family. */
export type WordPieceFile = {
  /** Tokens by their ids. */
  readonly vocabulary: readonly string[];
  /** Ids of tokens that no text has. */
  readonly special: ReadonlySet<number>;
  readonly normalization: Normalization;
  /** What an encoder gets before and after a text. */
  readonly before: number;
  readonly after: number;
};

/**
 * Reads tokenizer.json of an encoder whose tokens a static table can have.
 * @throws AdaptletError MODEL_UNSUPPORTED for other tokenizers
 */
export const readWordPieceFile = ({ tokenizer }: Pick<ModelFolder, 'tokenizer'>): WordPieceFile => {
  const refuse = (what: string): AdaptletError =>
    new AdaptletError('MODEL_UNSUPPORTED', `${tokenizer}: ${what}`, {
      advice: 'Distil from an encoder with the tokenizer of BERT (WordPiece), such as all-MiniLM-L6-v2.',
    });
  const read = fileSchema.safeParse(JSON.parse(readFileSync(tokenizer, 'utf8')));
  if (!read.success) {
    const [issue] = read.error.issues;
    throw refuse(`it is no WordPiece as BERT has it: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const { added_tokens: added, normalizer, model } = read.data;
  const ids = new Map([
    ...Object.entries(model.vocab),
    ...added.map(({ content, id }) => [content, id] as const),
  ]);
  const vocabulary = Array.from({ length: Math.max(...ids.values()) + 1 }, () => '');
  for (const [text, id] of ids) vocabulary[id] = text;
  const idOf = (text: string): number => {
    const id = ids.get(text);
    if (id === undefined) throw refuse(`it has no token ${text}`);
    return id;
  };
  const special = new Set(added.filter((token) => token.special).map(({ id }) => id));
  vocabulary.forEach((text, id) => {
    if (text === '' || /^\[unused\d+\]$/.test(text)) special.add(id);
  });
  const { lowercase, strip_accents: strip } = normalizer;
  return {
    vocabulary,
    special,
    normalization: { lowercase, stripAccents: strip ?? lowercase },
    before: idOf('[CLS]'),
    after: idOf('[SEP]'),
  };
};
