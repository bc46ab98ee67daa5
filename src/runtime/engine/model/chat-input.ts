import type { ChatMessage, MadeCall, Prompt } from '../engine.ts';

export type ChatPrompt = Extract<Prompt, { kind: 'chat' }>;

/** A message as chat templates of transformers read it. */
export type TemplateMessage = {
  readonly role: string;
  readonly content: string;
  readonly [field: string]: unknown;
};

/** What a chat template gets of a conversation. */
export type ChatInput = {
  readonly messages: readonly TemplateMessage[];
  readonly tools: readonly unknown[] | undefined;
  /** Its own variables. */
  readonly values: Readonly<Record<string, unknown>>;
};

/** A whole number beyond 2^53 reaches the template as its text: rounded, it would be another one. */
const exact = (_: string, value: unknown, context?: { readonly source?: string }): unknown =>
  typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)
    ? context?.source
    : value;

/** Templates write arguments as JSON themselves. */
const callOf = ({ id, name, arguments: text }: MadeCall) => ({
  id,
  type: 'function',
  function: { name, arguments: JSON.parse(text, exact) as unknown },
});

const messageOf = ({ role, content, name, calls, reasoning, answers }: ChatMessage): TemplateMessage => ({
  role,
  content,
  ...(name === undefined ? {} : { name }),
  ...(calls === undefined ? {} : { tool_calls: calls.map(callOf) }),
  ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
  ...(answers === undefined ? {} : { tool_call_id: answers.id, name: answers.name }),
});

export const chatInputOf = ({ messages, tools, values = {} }: ChatPrompt): ChatInput => ({
  messages: messages.map(messageOf),
  tools: tools === undefined ? undefined : (JSON.parse(tools) as readonly unknown[]),
  values,
});

/** All that a conversation says, roles aside. */
export const chatTexts = ({ messages, tools = '', values = {} }: ChatPrompt): readonly string[] => [
  ...messages.flatMap(({ content, name = '', reasoning = '', calls = [], answers }) => [
    content,
    name,
    reasoning,
    ...calls.flatMap((call) => [call.id, call.name, call.arguments]),
    ...(answers === undefined ? [] : [answers.id, answers.name]),
  ]),
  tools,
  ...Object.values(values).map(String),
];

const mapped = (value: unknown, change: (text: string) => string): unknown => {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item: unknown) => mapped(item, change));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([name, item]: [string, unknown]) => [
    change(name),
    mapped(item, change),
  ]);
  return Object.fromEntries(entries) as unknown;
};

/** The same with each of its texts changed, names of fields too. */
export const mapTexts = (input: ChatInput, change: (text: string) => string): ChatInput =>
  mapped(input, change) as ChatInput;

/** True when one of its texts, or of the names of its fields, is such a one. */
export const someText = (value: unknown, is: (text: string) => boolean): boolean => {
  if (typeof value === 'string') return is(value);
  if (typeof value !== 'object' || value === null) return false;
  if (Array.isArray(value)) return value.some((item: unknown) => someText(item, is));
  return Object.entries(value).some(([name, item]: [string, unknown]) => is(name) || someText(item, is));
};
