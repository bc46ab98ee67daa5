import { AdaptletError } from '../../../errors/adaptlet-error.ts';
import type { ChatInput, TemplateMessage } from './chat-input.ts';
import type { ChatTemplate } from './chat-template.ts';

/** A call of a former turn. No template has these words itself. */
export const probedCall = { name: 'adaptlet_calls_this', value: 'adaptlet_says_this' } as const;

const tool = {
  name: 'adaptlet_looks_for_this',
  description: 'x',
  parameters: {
    type: 'object',
    properties: { x: { type: 'string', description: 'x' } },
    required: ['x'],
  },
};

const question: TemplateMessage = { role: 'user', content: 'x' };
/** Templates of Mistral want ids of nine letters and digits. */
const id = 'callcall1';
const turn: readonly TemplateMessage[] = [
  question,
  {
    role: 'assistant',
    content: '',
    tool_calls: [
      { id, type: 'function', function: { name: probedCall.name, arguments: { x: probedCall.value } } },
    ],
  },
  { role: 'tool', content: 'x', tool_call_id: id, name: probedCall.name },
];

/** What a chat template does with tools and calls: the words for it alone are in some that leave them out. */
export type ToolProbe = {
  /** Tools reach its prompts. */
  readonly takesTools: boolean;
  /** A prompt with tools and {@link probedCall}; undefined: the template refuses it. */
  readonly told: string | undefined;
  /** The same without tools. */
  readonly untold: string | undefined;
};

export const probeTools = (template: ChatTemplate): ToolProbe => {
  const prompt = (messages: readonly TemplateMessage[], tools: ChatInput['tools']): string | undefined => {
    try {
      return template(messages, true, { tools, values: {} });
    } catch (error) {
      // A template may refuse them.
      if (error instanceof AdaptletError) return undefined;
      throw error;
    }
  };
  const tools = [{ type: 'function', function: tool }];
  return {
    takesTools: prompt([question], tools)?.includes(tool.name) === true,
    told: prompt(turn, tools),
    untold: prompt(turn, undefined),
  };
};
