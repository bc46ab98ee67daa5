import type { Serving } from '../../serving/serving.ts';
import { type ChatBody, completionOptions } from '../http/bodies.ts';
import { type Asked, askedAnswer } from './asked.ts';
import { messagesOf } from './conversation.ts';
import { templateValues } from './template-values.ts';
import { toolsOf } from './tools.ts';

/**
 * What a chat asks of the base model.
 * @throws REQUEST_INVALID, REQUEST_UNSUPPORTED; both name the field
 */
export const askChat = (body: ChatBody, { chat }: Pick<Serving['base'], 'chat'>): Asked => {
  const options = completionOptions(body);
  const tools = toolsOf(body, chat);
  const { chat_template_kwargs: given, reasoning_effort: effort } = body;
  return {
    prompt: {
      kind: 'chat',
      messages: messagesOf(body.messages, chat, tools !== undefined),
      ...(tools === undefined ? {} : { tools: tools.source }),
      ...templateValues({ given, effort }, chat, 'reasoning_effort'),
    },
    ...askedAnswer(options, tools, chat),
  };
};
