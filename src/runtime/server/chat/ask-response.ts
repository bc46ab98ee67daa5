import type { Serving } from '../../serving/serving.ts';
import { type ResponseBody, responseOptions } from '../http/response-body.ts';
import { type Asked, askedAnswer } from './asked.ts';
import { type ItemOf, messagesOfInput } from './input-items.ts';
import { templateValues } from './template-values.ts';
import { type AskedTools, type ToolFields, toolsOf } from './tools.ts';

/** As a chat has them. */
const toolFieldsOf = ({ tools, tool_choice: choice, parallel_tool_calls }: ResponseBody): ToolFields => ({
  tools: tools?.map(({ type, name, description, parameters }) => ({
    type,
    function: { name, description, parameters },
  })),
  tool_choice:
    typeof choice === 'object' && choice !== null
      ? { type: choice.type, function: { name: choice.name } }
      : choice,
  parallel_tool_calls,
});

/**
 * What a response asks of the base model.
 * @throws REQUEST_INVALID, REQUEST_UNSUPPORTED, ITEM_NOT_FOUND; all name the field
 */
export const askResponse = (
  body: ResponseBody,
  { chat }: Pick<Serving['base'], 'chat'>,
  itemOf: ItemOf,
): Asked => {
  const options = responseOptions(body);
  const { chat_template_kwargs: given, reasoning } = body;
  const tools: AskedTools | undefined = toolsOf(toolFieldsOf(body), chat, '');
  return {
    prompt: {
      kind: 'chat',
      messages: messagesOfInput(body, chat, tools !== undefined, itemOf),
      ...(tools === undefined ? {} : { tools: tools.source }),
      ...templateValues({ given, effort: reasoning?.effort }, chat, 'reasoning.effort'),
    },
    ...askedAnswer(options, tools, chat),
  };
};
