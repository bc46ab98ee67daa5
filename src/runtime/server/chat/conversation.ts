import type { ChatInfo, ChatMessage, MadeCall } from '../../engine/engine.ts';
import { FieldError, wrong } from '../fields/field-error.ts';
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

const answersOf = (
  { role, tool_call_id: id, name }: Message,
  path: string,
  made: MadeCalls,
): ChatMessage['answers'] => {
  const params = { answer: `${path}.role`, id: `${path}.tool_call_id`, name: `${path}.name` };
  if (role === 'tool') return made.answered({ id, name }, params);
  if (id !== undefined && id !== null) throw wrong(params.id, 'belongs to a tool');
  if (name === undefined || name === null) return undefined;
  const what = `${params.name} is not supported: speaker names are not given to the model`;
  throw new FieldError('REQUEST_UNSUPPORTED', what, params.name, { advice: 'Leave it out.' });
};

/** `developer` is what newer OpenAI models call `system`; chat templates only know the latter. */
const messageOf = (message: Message, path: string, made: MadeCalls): ChatMessage => {
  const { role, reasoning_content: reasoning } = message;
  const calls = callsOf(message, path, made);
  const answers = answersOf(message, path, made);
  const thought = reasoning ?? '';
  if (thought !== '' && role !== 'assistant')
    throw wrong(`${path}.reasoning_content`, 'belongs to an assistant');
  return {
    role: role === 'developer' ? 'system' : role,
    ...made.turn(contentOf(message, path, calls.length > 0), calls),
    ...(answers === undefined ? {} : { answers }),
    ...(thought === '' ? {} : { reasoning: thought }),
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
