import type { Prompt } from '../engine.ts';
import { type Caller, charactersOf, type TextThread } from '../model/text-thread.ts';
import type { EncodedInput, TextCodec } from '../model/tokenizer.ts';
import { type WordTokens, wordTokens } from '../model/word-tokens.ts';

/** Characters that are turned into tokens between two steps: more would hold them up. Some milliseconds. */
const maxCharacters = 4096;

/** What a word counts beside its own: it is turned into tokens twice, and a short text takes some time, too. */
const perWord = 64;
/** Lists of words whose tokens are remembered. */
const keptLists = 16;

/** What a template writes around a call at most. */
const aroundCall = 128;

/** Characters of JSON where each value has a line of its own, as some templates write it. */
const laidOut = (json: string): number => {
  let [characters, depth, isText] = [json.length, 0, false];
  for (let at = 0; at < json.length; at += 1) {
    const one = json[at] ?? '';
    if (isText) {
      if (one === '\\') at += 1;
      else if (one === '"') isText = false;
      continue;
    }
    if (one === '"') isText = true;
    else if (one === '{' || one === '[') depth += 1;
    else if (one === '}' || one === ']') depth -= 1;
    if ('{[,]}'.includes(one)) characters += 1 + 4 * depth;
  }
  return characters;
};

/** Characters of a prompt as its template writes it, at most; of a long one fewer, which is long anyway. */
const writtenCharacters = (prompt: Prompt): number => {
  const characters = charactersOf(prompt);
  if (prompt.kind !== 'chat' || characters > maxCharacters) return characters;
  const calls = prompt.messages.flatMap((message) => message.calls ?? []);
  const written = calls.reduce((sum, call) => sum + aroundCall + laidOut(call.arguments), characters);
  return written + laidOut(prompt.tools ?? '');
};

/** Tokens of a prompt, or how many they are where they are of no use. */
export type PromptTokens = { readonly count: number; readonly ids: readonly number[] };

/**
 * Text to tokens without holding up steps: little of it at once, more of it on a thread of its own. A burst of short texts
 * counts as a long one.
 */
export class Texts {
  readonly #codec: TextCodec;
  readonly #thread: TextThread;
  #spent = 0;
  /** By the words. The list that was used last comes last. */
  readonly #lists = new Map<string, WordTokens>();

  constructor(codec: TextCodec, thread: TextThread) {
    this.#codec = codec;
    this.#thread = thread;
  }

  /** At once, if it is short; undefined if not. */
  now(prompt: Prompt): PromptTokens | undefined {
    if (!this.#spend(writtenCharacters(prompt))) return undefined;
    const ids = this.#codec.encode(prompt);
    return { count: ids.length, ids };
  }

  /** On the thread. Without ids where they are more than `most`. */
  async later(prompt: Prompt, most: number, caller: Caller): Promise<PromptTokens> {
    const { count, ids = [] } = await this.#thread.encode(prompt, most, caller);
    return { count, ids: Array.from(ids) };
  }

  async input(text: string, limit: number, caller: Caller): Promise<EncodedInput> {
    if (this.#spend(text.length)) return this.#codec.encodeInput(text, limit);
    return await this.#thread.encodeInput(text, limit, caller);
  }

  /** At once, if they are few or were asked for before. @throws QUEUE_FULL; the signal's reason */
  async words(words: readonly string[], caller: Caller): Promise<WordTokens> {
    const key = JSON.stringify(words);
    const tokens = this.#lists.get(key) ?? (await this.#wordTokens(words, caller));
    this.#lists.delete(key);
    this.#lists.set(key, tokens);
    const [oldest] = this.#lists.keys();
    if (this.#lists.size > keptLists && oldest !== undefined) this.#lists.delete(oldest);
    return tokens;
  }

  async #wordTokens(words: readonly string[], caller: Caller): Promise<WordTokens> {
    const characters = words.reduce((sum, { length }) => sum + 2 * length + perWord, 0);
    if (this.#spend(characters)) return wordTokens(words, this.#codec);
    return await this.#thread.encodeWords(words, characters, caller);
  }

  close(): Promise<void> {
    return this.#thread.close();
  }

  /** True when so many characters can be turned into tokens before something else has its turn. */
  #spend(characters: number): boolean {
    if (this.#spent + characters > maxCharacters) return false;
    if (this.#spent === 0 && characters > 0) {
      setImmediate(() => {
        this.#spent = 0;
      });
    }
    this.#spent += characters;
    return true;
  }
}
