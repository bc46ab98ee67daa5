import { beforeAll, describe, expect, it } from 'vitest';
import { type Seen, seenBy } from './openai-python.ts';
import type { ToolTarget } from './target.ts';

const order = {
  count: expect.toSatisfy((count) => Number.isInteger(count) && count >= 1 && count <= 9) as number,
  side: expect.toSatisfy(
    (side) => side === null || typeof (side as { salt: unknown }).salt === 'boolean',
  ) as object,
};

const argumentsOf = ({ httpUrl, model, prompt, maxTokens }: ToolTarget): readonly string[] => [
  `${httpUrl}/v1`,
  model,
  prompt,
  String(maxTokens),
];

/** What an unchanged OpenAI client of Python must be able to do with tools and structures. `executable`: a Python that has it. */
export const openaiPythonTools = (of: () => ToolTarget, executable: string): void => {
  describe('the openai client of Python, with models of pydantic', () => {
    let seen: Record<'chat' | 'responses' | 'async', Seen>;
    beforeAll(async () => {
      seen = (await seenBy(executable, 'openai-tools-check.py', argumentsOf(of()))) as typeof seen;
    });

    describe.each([
      { kind: 'chat', finishReason: 'tool_calls' },
      { kind: 'responses', finishReason: 'completed' },
    ] as const)('$kind', ({ kind, finishReason }) => {
      it('parses an answer, whole and streamed the same', () => {
        expect(seen[kind]['parsed']).toEqual(order);
        expect(seen[kind]['streamed']).toEqual(seen[kind]['parsed']);
      });

      it('parses arguments of a call, whole and streamed the same, and goes on behind it', () => {
        expect(seen[kind]).toMatchObject({ name: 'Order', finish_reason: finishReason, arguments: order });
        expect(seen[kind]['streamed_arguments']).toEqual(seen[kind]['arguments']);
        expect(seen[kind]).toMatchObject({ deltas: true, later: expect.stringMatching(/./) });
      });
    });

    it('parses asynchronously', () => {
      expect(seen.async).toEqual(seen.chat['parsed']);
    });
  });
};

/** What unchanged langchain-openai must be able to do with them. */
export const langchainTools = (of: () => ToolTarget, executable: string): void => {
  describe('langchain-openai, with models of pydantic', () => {
    type Kind = Record<'json_schema' | 'function_calling' | 'called', Seen>;
    let seen: Record<'chat' | 'responses', Kind> & { async: unknown };
    beforeAll(async () => {
      seen = (await seenBy(executable, 'langchain-tools-check.py', argumentsOf(of()))) as typeof seen;
    });

    describe.each(['chat', 'responses'] as const)('%s', (kind) => {
      it.each(['json_schema', 'function_calling'] as const)(
        'with_structured_output by %s, whole and streamed the same',
        (method) => {
          const { whole, streamed } = seen[kind][method];
          expect(whole).toEqual(order);
          expect(streamed).toEqual(whole);
        },
      );

      it('bind_tools: a call, whole and streamed the same, and what comes behind it', () => {
        const { called } = seen[kind];
        expect(called).toMatchObject({ name: 'Order', arguments: order, later: expect.stringMatching(/./) });
        expect(called['streamed_arguments']).toEqual(called['arguments']);
      });
    });

    it('does the same asynchronously', () => {
      const { chat, responses } = seen;
      expect(seen.async).toEqual([chat.json_schema['whole'], responses.json_schema['whole']]);
    });
  });
};
