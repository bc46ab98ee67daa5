import { settle } from '../../../errors/across-threads.ts';
import type { Prompt } from '../engine.ts';
import type { ModelFolder } from './folder.ts';
import { type EncodedInput, openTextCodec, type TextCodec } from './tokenizer.ts';
import { type WordTokens, wordTokens } from './word-tokens.ts';

/** What is asked of the thread. `most`: tokens that are of use. */
export type TextTask = { readonly model: ModelFolder; readonly vocabSize: number } & (
  | { readonly kind: 'prompt'; readonly prompt: Prompt; readonly most: number }
  | { readonly kind: 'input'; readonly text: string; readonly limit: number }
  | { readonly kind: 'words'; readonly words: readonly string[] }
);

/** Tokens of a prompt; without them, where they are too many to be of use. */
export type EncodedPrompt = { readonly count: number; readonly ids: Uint32Array | undefined };

let codec: TextCodec | undefined;

const run = (task: TextTask): EncodedPrompt | EncodedInput | WordTokens => {
  codec ??= openTextCodec(task.model, task.vocabSize);
  if (task.kind === 'words') return wordTokens(task.words, codec);
  if (task.kind === 'input') return codec.encodeInput(task.text, task.limit);
  const ids = codec.encode(task.prompt);
  return { count: ids.length, ids: ids.length > task.most ? undefined : Uint32Array.from(ids) };
};

/** Entry point of the thread that makes tokens of long texts, beside the one that runs steps. */
export default (task: TextTask) => settle(() => run(task));
