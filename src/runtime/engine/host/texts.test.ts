import { describe, expect, it } from 'vitest';
import type { ChatMessage, Prompt } from '../engine.ts';
import type { TextThread } from '../model/text-thread.ts';
import type { TextCodec } from '../model/tokenizer.ts';
import { Texts } from './texts.ts';

/** Prompts are one token; nothing is asked of the thread. */
const start = (): Texts =>
  new Texts({ encode: () => [1] } as Partial<TextCodec> as TextCodec, {} as TextThread);
const chat = (more: Partial<Extract<Prompt, { kind: 'chat' }>>): Prompt => ({
  kind: 'chat',
  messages: [{ role: 'user', content: 'x' }],
  ...more,
});
const called = (times: number): ChatMessage => ({
  role: 'assistant',
  content: '',
  calls: Array.from({ length: times }, () => ({ id: '', name: '', arguments: '{}' })),
});

describe('a prompt', () => {
  it('is turned into tokens at once where it is short', () => {
    for (const prompt of [
      chat({}),
      chat({ tools: '[{"type":"function"}]' }),
      chat({ messages: [called(3)] }),
    ])
      expect(start().now(prompt)).toEqual({ count: 1, ids: [1] });
  });

  it('counts as what its template may make of it', () => {
    const nested = `${'['.repeat(60)}${'0,'.repeat(500)}0${']'.repeat(60)}`;
    for (const prompt of [chat({ tools: nested }), chat({ messages: [called(40)] })])
      expect(start().now(prompt)).toBeUndefined();
    // Marks within texts are none.
    expect(start().now(chat({ tools: JSON.stringify(`"${nested}`) }))).toEqual({ count: 1, ids: [1] });
  });
});
