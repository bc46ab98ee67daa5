import { readFileSync } from 'node:fs';
import { Template } from '@huggingface/jinja';
import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import { quoteUntrusted } from '../../../errors/quote-untrusted.ts';
import type { ChatInput, TemplateMessage } from './chat-input.ts';
import type { ModelFolder } from './folder.ts';
import { correctedTemplate } from './template-corrections.ts';
import type { TokenizerConfig } from './tokenizer-config.ts';

/**
 * Renders a conversation to the prompt text, as transformers' `apply_chat_template` does; by default up to where the assistant
 * answers. One known difference of @huggingface/jinja 0.5: a template that prints a truth value gets `true`, where Python has
 * `True`.
 * @throws REQUEST_INVALID
 */
export type ChatTemplate = (
  messages: readonly TemplateMessage[],
  generationPrompt?: boolean,
  more?: Omit<ChatInput, 'messages'>,
) => string;

/** Texts of chat templates: without and with tools; mostly one for both. */
type TemplateTexts = { readonly plain: string; readonly withTools: string };

/** A chat_template.jinja wins over tokenizer_config.json. Undefined: there is none. */
export const readChatTemplates = (model: ModelFolder, config: TokenizerConfig): TemplateTexts | undefined => {
  const own =
    model.chatTemplate === undefined ? config.chat_template : readFileSync(model.chatTemplate, 'utf8');
  if (typeof own === 'string') return { plain: own, withTools: own };
  const plain = own?.find(({ name }) => name === 'default')?.template;
  if (plain === undefined) return undefined;
  return { plain, withTools: own?.find(({ name }) => name === 'tool_use')?.template ?? plain };
};

const parse = (model: ModelFolder, text: string): Template => {
  try {
    return new Template(correctedTemplate(text));
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

/** What a template is given in any case, so that a caller cannot give it. */
const given = ['messages', 'tools', 'xml_tools', 'documents', 'add_generation_prompt'];

/** Whether a template has it as a word. */
export const namesVariable = (template: string, name: string): boolean =>
  /^[A-Za-z_]\w{0,63}$/.test(name) && new RegExp(`\\b${name}\\b`).test(template);

/** A variable that a template does not name would change nothing, though somebody means it to. @throws REQUEST_INVALID */
const checkValues = (values: ChatInput['values'], text: string, tokens: Record<string, string>): void => {
  for (const name of Object.keys(values)) {
    const isFree = !given.includes(name) && !Object.hasOwn(tokens, name);
    if (isFree && namesVariable(text, name)) continue;
    const why = isFree ? 'the chat template of the base model has no such variable' : 'it is given already';
    throw new AdaptletError('REQUEST_INVALID', `chat_template_kwargs: ${quoteUntrusted(name)}: ${why}`, {
      advice: 'Leave it out.',
    });
  }
};

const noTemplate: ChatTemplate = () => {
  throw new AdaptletError(
    'REQUEST_INVALID',
    'messages: the base model has no chat template; send a text prompt',
  );
};

/**
 * The chat template of a base model. Without one every conversation is refused.
 * @throws MODEL_INVALID
 */
export const openChatTemplate = (model: ModelFolder, config: TokenizerConfig): ChatTemplate => {
  const texts = readChatTemplates(model, config);
  if (texts === undefined) return noTemplate;
  const plain = parse(model, texts.plain);
  const withTools = texts.withTools === texts.plain ? plain : parse(model, texts.withTools);
  const tokens = namedTokens(config);
  return (messages, generationPrompt = true, { tools, values } = { tools: undefined, values: {} }) => {
    checkValues(values, tools === undefined ? texts.plain : texts.withTools, tokens);
    try {
      return (tools === undefined ? plain : withTools).render({
        ...values,
        ...tokens,
        // Templates ask whether these two are none; transformers always hands them over.
        tools: tools === undefined ? null : [...tools],
        // SmolLM3's own name, as texts: the package cannot make one of an object.
        xml_tools: tools === undefined ? null : tools.map((tool) => JSON.stringify(tool)),
        documents: null,
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
