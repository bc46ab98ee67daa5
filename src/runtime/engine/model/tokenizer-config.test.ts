import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { folderOfTest } from '../../../../test/support/temporary-folder.ts';
import { readTokenizerConfig, readTokenizerFile } from './tokenizer-config.ts';

const folder = (file: object, config: object = {}) => {
  const path = folderOfTest();
  const [tokenizer, tokenizerConfig] = [join(path, 'tokenizer.json'), join(path, 'tokenizer_config.json')];
  writeFileSync(tokenizer, JSON.stringify(file));
  writeFileSync(tokenizerConfig, JSON.stringify(config));
  const none = { generationConfig: undefined, genaiConfig: undefined, chatTemplate: undefined };
  return { folder: path, graph: '', file: '', others: [], config: '', tokenizer, tokenizerConfig, ...none };
};

it('a token that must be a word by itself is refused: it would be found within words', () => {
  const token = { id: 1, content: '<w>', single_word: true };
  expect(() => readTokenizerFile(folder({ added_tokens: [token] }))).toThrow(
    expect.objectContaining({ code: 'MODEL_UNSUPPORTED', what: expect.stringContaining('<w>') }),
  );
  expect(
    readTokenizerFile(folder({ added_tokens: [{ ...token, single_word: false }] })).added_tokens,
  ).toEqual([{ id: 1, content: '<w>', single_word: false, special: false }]);
});

it('a file of another shape is refused with its field', () => {
  expect(() => readTokenizerFile(folder({ added_tokens: [{ id: -1, content: 'x' }] }))).toThrow(
    expect.objectContaining({ code: 'MODEL_INVALID', what: expect.stringContaining('added_tokens[0].id') }),
  );
});

it('special tokens are named by their text, in either of the ways to write them', () => {
  const config = { bos_token: { content: '<s>', lstrip: false }, eos_token: '</s>', pad_token: null };
  expect(readTokenizerConfig(folder({}, config))).toMatchObject({ bos_token: '<s>', eos_token: '</s>' });
});
