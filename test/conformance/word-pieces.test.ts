import { readFileSync } from 'node:fs';
import { Tokenizer } from '@huggingface/tokenizers';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readWordPieceFile } from '../../src/runtime/classifiers/word-piece-file.ts';
import { WordPieces } from '../../src/runtime/classifiers/word-pieces.ts';
import { openModelFolder } from '../../src/runtime/engine/model/folder.ts';
import { minilm } from '../support/models.ts';

const real = minilm();

type Reference = { encode(text: string, options: object): { readonly ids: readonly number[] } };

describe.skipIf(real === undefined)('word pieces of MiniLM (ADAPTLET_MODELS or ../shared/models)', () => {
  const open = () => {
    const model = openModelFolder(real?.modelDir ?? '');
    const file = readWordPieceFile(model);
    const json: unknown = JSON.parse(readFileSync(model.tokenizer, 'utf8'));
    const config: unknown = JSON.parse(readFileSync(model.tokenizerConfig, 'utf8'));
    const reference = new (Tokenizer as unknown as new (json: unknown, config: unknown) => Reference)(
      json,
      config,
    );
    const pieces = new WordPieces(file.vocabulary, file.normalization);
    const unknown = file.vocabulary.indexOf('[UNK]');
    return {
      ours: (text: string) => pieces.encode(text, 512),
      /** What does not fit the vocabulary has no embedding here. */
      theirs: (text: string) =>
        reference.encode(text, { add_special_tokens: false }).ids.filter((id) => id !== unknown),
    };
  };

  it('are those of the tokenizer that it was trained with', () => {
    const { ours, theirs } = open();
    const texts = [
      'Will it rain tomorrow in Zürich?',
      "don't e-mail me@example.com; it's $5.00 (50% off)!",
      'naïve café ÅNGSTRÖM ﬁne',
      '東京の天気 and 한국어 и русский العربية',
      'tab\tnew\nline\u00a0space \u200b zero',
      'a'.repeat(100),
      'supercalifragilisticexpialidocious antidisestablishmentarianism',
      '🙂 emoji 👩‍👩‍👧 x',
    ];
    for (const text of texts) expect([text, ours(text)]).toEqual([text, theirs(text)]);
  });

  it('are so for any text of letters, digits, blanks and signs', () => {
    const { ours, theirs } = open();
    const words = fc.stringMatching(/^[a-zA-Z0-9 ,.!?'"()äöüßéèñçøåÆ-]{0,60}$/);
    fc.assert(
      fc.property(words, (text) => {
        expect(ours(text)).toEqual(theirs(text));
      }),
    );
  });
});
