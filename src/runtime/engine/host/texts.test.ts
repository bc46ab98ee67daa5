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

describe('words', () => {
  const signal = new AbortController().signal;
  const many = Array.from({ length: 100 }, (_, word) => `word${word}`);
  /** Each text is its length. `asked`: lists that the thread had; `encoded`: texts that it did not. */
  const open = () => {
    const asked: (readonly string[])[] = [];
    const encoded: string[] = [];
    const codec: Partial<TextCodec> = {
      encodePart: (text) => {
        encoded.push(text);
        return [text.length];
      },
    };
    const thread: Partial<TextThread> = {
      encodeWords: (words) => {
        asked.push(words);
        return Promise.resolve([[asked.length]]);
      },
    };
    const texts = new Texts(codec as TextCodec, thread as TextThread);
    return {
      asked,
      encoded,
      words: (words: readonly string[]) => texts.words(words, { tenant: '', signal }),
    };
  };

  it('are tokens by themselves and after a space', async () => {
    const { words, encoded } = open();
    expect(await words(['ab', '  c'])).toEqual([[2], [3], [1], [2]]);
    expect(encoded).toEqual(['ab', ' ab', 'c', ' c']);
  });

  it('become tokens once, of the lists that were asked for last; many of them on the thread', async () => {
    const { words, asked } = open();
    for (let time = 0; time < 3; time += 1) expect(await words(many)).toEqual([[1]]);
    for (let other = 0; other < 16; other += 1) await words([...many, `${other}`]);
    expect(asked).toHaveLength(17);
    await words([...many, '0']);
    expect(asked).toHaveLength(17);
    expect(await words(many)).toEqual([[18]]);
  });
});
