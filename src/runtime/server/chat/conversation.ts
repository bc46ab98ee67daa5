import type { ChatInfo, ChatMessage, MadeCall } from '../../engine/engine.ts';
import { wrong } from '../fields/field-error.ts';
import type { ChatBody } from '../http/bodies.ts';
import { MadeCalls } from './made-calls.ts';

type Message = ChatBody['messages'][number];

const textOf = (content: NonNullable<Message['content']>): string =>
  typeof content === 'string' ? content : content.map(({ text }) => text).join('');

const contentOf = ({ content }: Message, path: string, calls: boolean): string => {
  if (content !== undefined && content !== null) return textOf(content);
  if (calls) return '';
  throw wrong(`${path}.content`, 'must be a string or a list of text parts');
};

const callsOf = (
  { role, tool_calls: calls }: Message,
  path: string,
  made: MadeCalls,
): readonly MadeCall[] => {
  const param = `${path}.tool_calls`;
  if (calls === undefined || calls === null || calls.length === 0) return [];
  if (role !== 'assistant') throw wrong(param, 'belongs to an assistant');
  return calls.map(({ id, function: { name, arguments: text } }, index) =>
    made.made(
      { id, name, arguments: text },
      { call: param, arguments: `${param}.${index}.function.arguments` },
    ),
  );
};

/** Who speaks; a tool is named by the call that it answers. */
const speakerOf = (
  { role, tool_call_id: id, name }: Message,
  path: string,
  made: MadeCalls,
): Pick<ChatMessage, 'answers' | 'name'> => {
  const params = { answer: `${path}.role`, id: `${path}.tool_call_id`, name: `${path}.name` };
  if (role === 'tool') return { answers: made.answered({ id, name }, params) };
  if (id !== undefined && id !== null) throw wrong(params.id, 'belongs to a tool');
  return name === undefined || name === null ? {} : { name };
};

/** vLLM's name of today and that of before. */
const thoughtOf = (message: Message, path: string): string => {
  const name = (message.reasoning ?? '') === '' ? 'reasoning_content' : 'reasoning';
  const { [name]: thought, reasoning_content: before } = message;
  if ((thought ?? '') !== '' && message.role !== 'assistant')
    throw wrong(`${path}.${name}`, 'belongs to an assistant');
  if ((before ?? '') !== '' && before !== thought)
    throw wrong(`${path}.${name}`, 'is not what reasoning_content says');
  return thought ?? '';
};

/** `developer` is what newer OpenAI models call `system`; chat templates only know the latter. */
const messageOf = (message: Message, path: string, made: MadeCalls): ChatMessage => {
  const { role } = message;
  const calls = callsOf(message, path, made);
  const speaker = speakerOf(message, path, made);
  const reasoning = thoughtOf(message, path);
  return {
    role: role === 'developer' ? 'system' : role,
    ...made.turn(contentOf(message, path, calls.length > 0), calls),
    ...speaker,
    ...(reasoning === '' ? {} : { reasoning }),
  };
};

/**
 * The messages of a chat. `told`: the prompt tells of tools.
 * @throws REQUEST_INVALID, REQUEST_UNSUPPORTED; both name the field
 */
export const messagesOf = (
  messages: ChatBody['messages'],
  chat: ChatInfo | undefined,
  told: boolean,
): readonly ChatMessage[] => {
  const made = new MadeCalls(chat, told);
  return messages.map((message, index) => messageOf(message, `messages.${index}`, made));
};
