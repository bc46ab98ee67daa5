import { Tokenizer } from '@huggingface/tokenizers';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { ChatMessage, Prompt } from '../engine.ts';
import { openChatTemplate } from './chat-template.ts';
import { correctedFile } from './corrections.ts';
import { Detokenizer } from './detokenizer.ts';
import type { ModelFolder } from './folder.ts';
import { GuardedContent, guardedFile } from './guarded-content.ts';
import { longestToken } from './longest-token.ts';
import { PieceCache } from './piece-cache.ts';
import { openTokenTexts, type TokenText } from './token-text.ts';
import {
  readTokenizerConfig,
  readTokenizerFile,
  type TokenizerConfig,
  type TokenizerFile,
} from './tokenizer-config.ts';

/** Tokens that an encoder reads of a text. */
export type EncodedInput = { readonly ids: readonly number[]; readonly isCut: boolean };

/** Text to tokens and back, as the base model was trained. */
export type TextCodec = {
  /**
   * Token ids of a prompt. A special token that is spelled out is one in a text, and plain text in the messages of a
   * conversation. Half of a surrogate pair counts as U+FFFD.
   * @throws REQUEST_INVALID
   */
  encode(prompt: Prompt): readonly number[];
  /**
   * What an encoder reads of a text: its tokens with the special ones around them. What is over `limit` is left out at
   * the end of the text. All of them are attended to, and their type is 0.
   */
  encodeInput(text: string, limit: number): EncodedInput;
  /** See {@link longestToken}. */
  readonly maxTokenBytes: number | undefined;
  /** Tokens that an encoder's tokenizer.json cuts its input to. */
  readonly inputLimit: number | undefined;
  /** Text of tokens; special tokens are left out. */
  decode(ids: readonly number[]): string;
  /** One token by itself. */
  describe(id: number): TokenText;
  /** Text of an answer, piece by piece, that follows the prompt. */
  detokenizer(promptIds: readonly number[]): Detokenizer;
};

/** The package's own types do not resolve; this is what is used of them. */
type TokenizerModel = {
  encode(text: string, options?: { add_special_tokens: boolean }): { readonly ids: readonly number[] };
  decode(
    ids: readonly number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
  id_to_token(id: number): string | undefined;
  /** BPE has a cache; other kinds have none. */
  readonly model: { cache?: Pick<PieceCache<readonly string[]>, 'get' | 'put'> };
};

/** Pieces of text whose tokens are remembered. */
const cachedPieces = 10_000;

const openTokenizer = (model: ModelFolder, file: TokenizerFile, config: TokenizerConfig): TokenizerModel => {
  try {
    const tokenizer: TokenizerModel = new Tokenizer(correctedFile(file), config);
    if (tokenizer.model.cache !== undefined) tokenizer.model.cache = new PieceCache(cachedPieces);
    return tokenizer;
  } catch (cause) {
    throw new AdaptletError('MODEL_INVALID', `${model.tokenizer}: ${String(cause)}`, { cause });
  }
};

const checkIds = (ids: readonly number[], vocabSize: number): readonly number[] => {
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (wrong === undefined) return ids;
  throw new AdaptletError(
    'REQUEST_INVALID',
    `prompt: token ${wrong} is not in the vocabulary of ${vocabSize}`,
  );
};

/** What a vocabulary or a template of a tokenizer.json has as an id may be anything. @throws MODEL_INVALID */
const checkTokens = (model: ModelFolder, ids: readonly number[]): readonly number[] => {
  const wrong = ids.findIndex((id) => !Number.isSafeInteger(id) || id < 0);
  if (wrong < 0) return ids;
  throw new AdaptletError('MODEL_INVALID', `${model.tokenizer} has a token whose id is no number`);
};

const wellFormed = (messages: readonly ChatMessage[]): ChatMessage[] =>
  messages.map(({ role, content }) => ({ role: role.toWellFormed(), content: content.toWellFormed() }));

/** The template writes the special tokens itself. */
const asRendered = { add_special_tokens: false } as const;

/**
 * Opens the tokenizer and chat template of a base model.
 * @throws MODEL_INVALID, MODEL_UNSUPPORTED
 */
export const openTextCodec = (model: ModelFolder, vocabSize: number): TextCodec => {
  try {
    return openCodec(model, vocabSize);
  } catch (cause) {
    if (cause instanceof AdaptletError) throw cause;
    throw new AdaptletError('MODEL_INVALID', `${model.tokenizer}: ${String(cause)}`, { cause });
  }
};

const openCodec = (model: ModelFolder, vocabSize: number): TextCodec => {
  const config = readTokenizerConfig(model);
  const file = readTokenizerFile(model);
  const tokenizer = openTokenizer(model, file, config);
  const chat = openChatTemplate(model, config);
  const guard = new GuardedContent(file);
  let guarded: TokenizerModel | undefined;

  const tokens = (of: TokenizerModel, text: string, options?: typeof asRendered): readonly number[] =>
    checkTokens(model, of.encode(text, options).ids);
  const encodeChat = (messages: readonly ChatMessage[]): readonly number[] => {
    if (!guard.needed(messages)) return tokens(tokenizer, chat(messages), asRendered);
    // Hardly ever needed, and as large as the other one.
    guarded ??= openTokenizer(model, guardedFile(file), config);
    return tokens(guarded, guard.mark(chat(guard.hide(messages))), asRendered);
  };
  const idsOf = (prompt: Prompt): readonly number[] => {
    if (prompt.kind === 'ids') return checkIds(prompt.ids, vocabSize);
    if (prompt.kind === 'text') return tokens(tokenizer, prompt.text.toWellFormed());
    return encodeChat(wellFormed(prompt.messages));
  };
  const decode = (ids: readonly number[]): string => {
    const known = ids.filter((id) => tokenizer.id_to_token(id) !== undefined);
    // The package refuses an empty list.
    if (known.length === 0) return '';
    return tokenizer.decode(known, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  };
  // Special tokens that stand before a text: how far in its first token is.
  const before = tokenizer.encode('a').ids.indexOf(tokenizer.encode('a', asRendered).ids[0] ?? 0);
  return {
    encode(prompt) {
      const ids = idsOf(prompt);
      if (ids.length > 0) return ids;
      throw new AdaptletError('REQUEST_INVALID', 'prompt: it has no tokens');
    },
    encodeInput(text, limit) {
      const whole = text.toWellFormed();
      const ids = tokens(tokenizer, whole);
      if (ids.length <= limit) return { ids, isCut: false };
      const own = tokenizer.encode(whole, asRendered).ids.length;
      const kept = Math.max(0, limit - (ids.length - own));
      return { ids: [...ids.slice(0, before + kept), ...ids.slice(before + own)], isCut: true };
    },
    maxTokenBytes: longestToken(file, config),
    inputLimit: file.truncation?.max_length,
    decode,
    describe: openTokenTexts((id) => tokenizer.id_to_token(id), file),
    detokenizer: (promptIds) => new Detokenizer(decode, promptIds),
  };
};
