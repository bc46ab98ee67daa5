import { expect, it } from 'vitest';
import { type ChatPrompt, chatInputOf, chatTexts } from './chat-input.ts';

it('all that a caller may write into a prompt counts, whichever field it stands in', () => {
  const calls = [{ id: 'a', name: 'b', arguments: 'c' }];
  const prompt: ChatPrompt = {
    kind: 'chat',
    messages: [
      { role: 'assistant', content: 'd', reasoning: 'e', calls },
      { role: 'tool', content: 'f', answers: { id: 'g', name: 'h' } },
      { role: 'user', content: 'k', name: 'l' },
    ],
    tools: 'i',
    values: { today: 'j', effort: 7, deep: true },
  };
  expect(chatTexts(prompt).toSorted().join(' ').trim()).toBe('7 a b c d e f g h i j k l true');
});

it('a number that would be rounded reaches the template as its text', () => {
  const calls = [{ id: 'a', name: 'f', arguments: '{"id": 12345678901234567890, "n": 3}' }];
  const { messages } = chatInputOf({ kind: 'chat', messages: [{ role: 'assistant', content: '', calls }] });
  expect(messages[0]).toMatchObject({
    tool_calls: [{ function: { arguments: { id: '12345678901234567890', n: 3 } } }],
  });
});
