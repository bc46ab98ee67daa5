import { Tokenizer } from '@huggingface/tokenizers';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { ChatInfo, Prompt } from '../engine.ts';
import { chatInfoOf } from './chat-format.ts';
import { type ChatInput, type ChatPrompt, chatInputOf, mapTexts } from './chat-input.ts';
import { openChatTemplate, readChatTemplates } from './chat-template.ts';
import { correctedFile } from './corrections.ts';
import { Detokenizer } from './detokenizer.ts';
import type { ModelFolder } from './folder.ts';
import { GuardedContent, guardedFile } from './guarded-content.ts';
import { longestToken } from './longest-token.ts';
import { markedDecode, openThoughts } from './marked-text.ts';
import { PieceCache } from './piece-cache.ts';
import { openTokenTexts, type TokenText } from './token-text.ts';
import {
  readTokenizerConfig,
  readTokenizerFile,
  type TokenizerConfig,
  type TokenizerFile,
} from './tokenizer-config.ts';
import { probeTools } from './tool-probe.ts';

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
  /** Tokens of a text that stands within another: without special ones around it. @throws MODEL_INVALID */
  encodePart(text: string): readonly number[];
  /** See {@link longestToken}. */
  readonly maxTokenBytes: number | undefined;
  /** Tokens that an encoder's tokenizer.json cuts its input to. */
  readonly inputLimit: number | undefined;
  /** Text of tokens; special tokens are left out. */
  decode(ids: readonly number[]): string;
  /** One token by itself. */
  describe(id: number): TokenText;
  /** Text of an answer, piece by piece, that follows the prompt. `marked`: see GenerateInput. */
  detokenizer(promptIds: readonly number[], marked?: boolean): Detokenizer;
  /** What a marked answer begins with: see GenerateInput. */
  opened(promptIds: readonly number[]): string;
  /** Undefined: there is no chat template. */
  readonly chat: ChatInfo | undefined;
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

/** The template writes the special tokens itself. */
const asRendered = { add_special_tokens: false } as const;

/** Tokens at the end of a prompt that a <think> lies in, with the white space after it. */
const openingTokens = 16;

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
  const render = ({ messages, ...more }: ChatInput): string => chat(messages, true, more);
  const encodeChat = (prompt: ChatPrompt): readonly number[] => {
    const input = mapTexts(chatInputOf(prompt), (text) => text.toWellFormed());
    if (!guard.needed(input)) return tokens(tokenizer, render(input), asRendered);
    // Hardly ever needed, and as large as the other one.
    guarded ??= openTokenizer(model, guardedFile(file), config);
    return tokens(guarded, guard.mark(render(guard.hide(input))), asRendered);
  };
  const idsOf = (prompt: Prompt): readonly number[] => {
    if (prompt.kind === 'ids') return checkIds(prompt.ids, vocabSize);
    if (prompt.kind === 'text') return tokens(tokenizer, prompt.text.toWellFormed());
    return encodeChat(prompt);
  };
  const decode = (ids: readonly number[]): string => {
    const known = ids.filter((id) => tokenizer.id_to_token(id) !== undefined);
    // The package refuses an empty list.
    if (known.length === 0) return '';
    return tokenizer.decode(known, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  };
  const decodeMarked = markedDecode(decode, file);
  const templates = readChatTemplates(model, config);
  const info = templates && chatInfoOf(templates.withTools, probeTools(chat), templates.plain);
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
    encodePart: (text) => tokens(tokenizer, text, asRendered),
    maxTokenBytes: longestToken(file, config),
    inputLimit: file.truncation?.max_length,
    decode,
    describe: openTokenTexts((id) => tokenizer.id_to_token(id), file),
    detokenizer: (promptIds, marked = false) => new Detokenizer(marked ? decodeMarked : decode, promptIds),
    opened: (promptIds) =>
      info?.thinks === true ? openThoughts(decodeMarked(promptIds.slice(-openingTokens))) : '',
    chat: info,
  };
};
