import { readFileSync } from 'node:fs';
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { ChatMessage, Prompt } from '../engine.ts';
import { Detokenizer } from './detokenizer.ts';
import type { ModelFolder } from './folder.ts';
import { readModelJson } from './settings.ts';

/** Text to tokens and back, as the base model was trained. */
export type TextCodec = {
  /** Token ids of a prompt. Errors: REQUEST_INVALID. */
  encode(prompt: Prompt): readonly number[];
  /** Text of tokens; special tokens are left out. */
  decode(ids: readonly number[]): string;
  /** Text of an answer, piece by piece, that follows the prompt. */
  detokenizer(promptIds: readonly number[]): Detokenizer;
};

const specialToken = z
  .union([z.string(), z.object({ content: z.string() }).transform((token) => token.content)])
  .nullish();
const configSchema = z.looseObject({
  chat_template: z
    .union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))])
    .nullish(),
  bos_token: specialToken,
  eos_token: specialToken,
  pad_token: specialToken,
  unk_token: specialToken,
});
type TokenizerConfig = z.infer<typeof configSchema>;

/** Renders a conversation to the prompt text. Errors: REQUEST_INVALID. */
type Chat = (messages: readonly ChatMessage[]) => string;

const templateText = (model: ModelFolder, config: TokenizerConfig): string | undefined => {
  if (model.chatTemplate !== undefined) return readFileSync(model.chatTemplate, 'utf8');
  const own = config.chat_template;
  if (typeof own === 'string') return own;
  return own?.find(({ name }) => name === 'default')?.template;
};

const parseTemplate = (model: ModelFolder, text: string): Template => {
  try {
    return new Template(text);
  } catch (cause) {
    throw new AdaptletError('MODEL_INVALID', `The chat template of ${model.folder}: ${String(cause)}`, {
      cause,
    });
  }
};

const openChat = (model: ModelFolder, config: TokenizerConfig): Chat => {
  const text = templateText(model, config);
  if (text === undefined) {
    return () => {
      throw new AdaptletError(
        'REQUEST_INVALID',
        'messages: the base model has no chat template; send a text prompt',
      );
    };
  }
  const template = parseTemplate(model, text);
  const { bos_token, eos_token, pad_token, unk_token } = config;
  const tokens = { bos_token, eos_token, pad_token, unk_token };
  return (messages) => {
    try {
      return template.render({ ...tokens, messages: [...messages], add_generation_prompt: true });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new AdaptletError('REQUEST_INVALID', `messages: the chat template refuses them: ${reason}`, {
        cause,
      });
    }
  };
};

const openTokenizer = (model: ModelFolder, config: TokenizerConfig): Tokenizer => {
  const file = readModelJson(model.tokenizer, z.looseObject({}));
  try {
    return new Tokenizer(file, config);
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

/** Opens the tokenizer and chat template of a base model. Errors: MODEL_INVALID. */
export const openTextCodec = (model: ModelFolder, vocabSize: number): TextCodec => {
  const config = readModelJson(model.tokenizerConfig, configSchema);
  const tokenizer = openTokenizer(model, config);
  const chat = openChat(model, config);
  const decode = (ids: readonly number[]): string =>
    tokenizer.decode([...ids], { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  const idsOf = (prompt: Prompt): readonly number[] => {
    if (prompt.kind === 'ids') return checkIds(prompt.ids, vocabSize);
    if (prompt.kind === 'text') return tokenizer.encode(prompt.text).ids;
    // The template writes the special tokens itself.
    return tokenizer.encode(chat(prompt.messages), { add_special_tokens: false }).ids;
  };
  return {
    encode(prompt) {
      const ids = idsOf(prompt);
      if (ids.length > 0) return ids;
      throw new AdaptletError('REQUEST_INVALID', 'prompt: it has no tokens');
    },
    decode,
    detokenizer: (promptIds) => new Detokenizer(decode, promptIds),
  };
};
