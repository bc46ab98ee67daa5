import { describe, expect, it } from 'vitest';
import type { ChatInfo } from '../../engine/engine.ts';
import { readChat } from '../http/bodies.ts';
import { askChat } from './ask-chat.ts';

const plain: ChatInfo = { calls: 'none', parallel: true, thinks: false };

const ask = (more: object, chat: ChatInfo = plain) =>
  askChat(readChat({ model: 'sql', messages: [{ role: 'user', content: 'x' }], ...more }), { chat });

it('variables of the chat template are passed on; what is none is refused', () => {
  const values = { enable_thinking: false, effort: 'low', budget: 1 };
  expect(ask({ chat_template_kwargs: values }).prompt).toMatchObject({ values });
  expect(() => ask({ chat_template_kwargs: { tools: [] } })).toThrow(
    expect.objectContaining({ param: 'chat_template_kwargs.tools' }),
  );
});

describe('the reasoning effort', () => {
  const chat = (effort: ChatInfo['effort'], thinks = true): ChatInfo => ({
    ...plain,
    thinks,
    ...(effort === undefined ? {} : { effort }),
  });
  const valuesOf = (info: ChatInfo, more: object) => {
    const { prompt } = ask(more, info);
    return prompt.kind === 'chat' ? prompt.values : undefined;
  };

  it('is given by the variables that the chat template reads', () => {
    const [words, onOff] = [chat(['reasoning_effort']), chat(['enable_thinking'])];
    expect(valuesOf(words, { reasoning_effort: 'low' })).toEqual({ reasoning_effort: 'low' });
    expect(valuesOf(words, { reasoning_effort: 'none' })).toEqual({ reasoning_effort: 'none' });
    expect(valuesOf(onOff, { reasoning_effort: 'minimal' })).toEqual({ enable_thinking: true });
    expect(valuesOf(onOff, { reasoning_effort: 'none' })).toEqual({ enable_thinking: false });
    const both = chat(['reasoning_effort', 'enable_thinking']);
    expect(valuesOf(both, { reasoning_effort: 'high', chat_template_kwargs: { budget: 1 } })).toEqual({
      reasoning_effort: 'high',
      enable_thinking: true,
      budget: 1,
    });
    expect(valuesOf(both, { reasoning_effort: null })).toBeUndefined();
  });

  it('none is what a model without thoughts does anyway', () => {
    expect(valuesOf(chat(undefined, false), { reasoning_effort: 'none' })).toEqual({});
  });

  it.each<[string, ChatInfo, object, string, RegExp]>([
    [
      'low, where nothing reads it',
      chat(undefined, false),
      { reasoning_effort: 'low' },
      'REQUEST_UNSUPPORTED',
      /^reasoning_effort is not supported: the chat template .* Leave it out, or give "none"\.$/,
    ],
    [
      'none, where the model thinks in any case',
      chat(undefined),
      { reasoning_effort: 'none' },
      'REQUEST_UNSUPPORTED',
      /has no variable for it\. Leave it out\.$/,
    ],
    [
      'another one than chat_template_kwargs say',
      chat(['enable_thinking']),
      { reasoning_effort: 'low', chat_template_kwargs: { enable_thinking: false } },
      'REQUEST_INVALID',
      /^reasoning_effort is low, and chat_template_kwargs.enable_thinking says otherwise/,
    ],
    [
      'a word that nobody knows',
      chat(['reasoning_effort']),
      { reasoning_effort: 'little' },
      'REQUEST_INVALID',
      /^reasoning_effort must be one of none, minimal, low/,
    ],
  ])('is refused: %s', (_, info, more, code, message) => {
    expect(() => ask(more, info)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message), param: 'reasoning_effort' }),
    );
  });
});
