import { readFileSync } from 'node:fs';
import { Template } from '@huggingface/jinja';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { ChatMessage } from '../engine.ts';
import type { ModelFolder } from './folder.ts';
import type { TokenizerConfig } from './tokenizer-config.ts';

/**
 * Renders a conversation to the prompt text, as transformers' `apply_chat_template` does without tools; by default up
 * to where the assistant answers. One known difference of @huggingface/jinja 0.5: a template that prints a truth value
 * gets `true`, where Python has `True`.
 * @throws REQUEST_INVALID
 */
export type ChatTemplate = (messages: readonly ChatMessage[], generationPrompt?: boolean) => string;

/** A chat_template.jinja wins over tokenizer_config.json. */
const templateText = (model: ModelFolder, config: TokenizerConfig): string | undefined => {
  if (model.chatTemplate !== undefined) return readFileSync(model.chatTemplate, 'utf8');
  const own = config.chat_template;
  if (typeof own === 'string') return own;
  return own?.find(({ name }) => name === 'default')?.template;
};

const parse = (model: ModelFolder, text: string): Template => {
  try {
    return new Template(text);
  } catch (cause) {
    const what = `The chat template of ${model.folder}: ${String(cause)}`;
    throw new AdaptletError('MODEL_INVALID', what, { advice: 'Correct the chat template.', cause });
  }
};

/** The special tokens that a template may name. One that the model has not is undefined, as in transformers. */
const namedTokens = (config: TokenizerConfig): Record<string, string> => {
  const { bos_token, eos_token, pad_token, unk_token, sep_token, cls_token, mask_token } = config;
  const named = { bos_token, eos_token, pad_token, unk_token, sep_token, cls_token, mask_token };
  return Object.fromEntries(
    Object.entries(named).flatMap(([name, token]) => (typeof token === 'string' ? [[name, token]] : [])),
  );
};

/**
 * The chat template of a base model. Without one every conversation is refused.
 * @throws MODEL_INVALID
 */
export const openChatTemplate = (model: ModelFolder, config: TokenizerConfig): ChatTemplate => {
  const text = templateText(model, config);
  if (text === undefined) {
    return () => {
      throw new AdaptletError(
        'REQUEST_INVALID',
        'messages: the base model has no chat template; send a text prompt',
      );
    };
  }
  const template = parse(model, text);
  // Templates ask whether these two are none; transformers always hands them over.
  const absent = { tools: null, documents: null };
  const tokens = namedTokens(config);
  return (messages, generationPrompt = true) => {
    try {
      return template.render({
        ...tokens,
        ...absent,
        messages: [...messages],
        add_generation_prompt: generationPrompt,
      });
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new AdaptletError('REQUEST_INVALID', `messages: the chat template refuses them: ${reason}`, {
        cause,
      });
    }
  };
};
