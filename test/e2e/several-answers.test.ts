import { OpenAI } from 'openai';
import type { Completion, CompletionCreateParamsNonStreaming } from 'openai/resources/completions';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestNode } from '../support/node.ts';

/** Answers of a request, and the tokens that each has. */
const count = 3;
const maxTokens = 48;

let node: TestNode;
let openai: OpenAI;
beforeAll(async () => {
  node = await TestNode.start();
  openai = new OpenAI({ baseURL: `${node.http}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(() => node.dispose());

type Answer = { text: string; finish: string; readonly tokens: string[] };
type Answers = { readonly all: readonly Answer[]; readonly usedTokens: number | undefined };
type Ask = (more: object) => Promise<Answers>;

const asked = (more: object): CompletionCreateParamsNonStreaming => ({
  model: 'tiny',
  prompt: 'moon:',
  max_tokens: maxTokens,
  temperature: 1.5,
  seed: 11,
  n: count,
  // Each token of an answer by its name, also the one that ends it.
  logprobs: 0,
  ...more,
});

/** What came of each answer, in one piece or in many. */
const gather = async (parts: AsyncIterable<Completion> | Iterable<Completion>): Promise<Answers> => {
  const all = Array.from({ length: count }, (): Answer => ({ text: '', finish: '', tokens: [] }));
  let usedTokens: number | undefined;
  for await (const { choices, usage } of parts) {
    usedTokens = usage?.completion_tokens ?? usedTokens;
    for (const { index, text, logprobs, finish_reason: finish } of choices) {
      const answer = all[index];
      if (answer === undefined) throw new Error(`there is an answer ${index}`);
      answer.text += text;
      answer.tokens.push(...(logprobs?.tokens ?? []));
      if (typeof finish === 'string') answer.finish += finish;
    }
  }
  return { all, usedTokens };
};

const ways: readonly [string, Ask][] = [
  ['whole', async (more) => gather([await openai.completions.create(asked(more))])],
  [
    'in a stream',
    async (more) => {
      const options = { stream: true, stream_options: { include_usage: true } } as const;
      return gather(await openai.completions.create({ ...asked(more), ...options }));
    },
  ],
];

describe.each(ways)('several answers that come %s', (_, ask) => {
  /** What the same request gives without any of the fields. */
  let free: Answers;
  let end: string;
  beforeAll(async () => {
    free = await ask({});
    end = free.all.find(({ finish }) => finish === 'stop')?.tokens.at(-1) ?? '';
  });

  const expectFull = ({ all, usedTokens }: Answers): void => {
    expect(all.map(({ tokens, finish }) => [tokens.length, finish])).toEqual(
      Array.from({ length: count }, () => [maxTokens, 'length']),
    );
    expect(usedTokens).toBe(count * maxTokens);
    // Each has a seed of its own.
    expect(new Set(all.map(({ text }) => text)).size).toBe(count);
  };
  const withEnd = ({ all }: Answers): readonly Answer[] => all.filter(({ tokens }) => tokens.includes(end));

  it('end by themselves where nothing is asked of their ends', () => {
    expect(end).not.toBe('');
    const lengths = free.all.map(({ tokens }) => tokens.length);
    expect(Math.min(...lengths)).toBeLessThan(maxTokens);
    expect(free.usedTokens).toBe(lengths.reduce((sum, length) => sum + length));
  });

  it('each go on to max_tokens behind an end token with ignore_eos', async () => {
    const answers = await ask({ ignore_eos: true });
    expectFull(answers);
    expect(withEnd(answers)).not.toEqual([]);
  });

  it.each([{ min_tokens: maxTokens }, { min_tokens: maxTokens, ignore_eos: true }])(
    'each have max_tokens tokens and no end token with %o',
    async (fields) => {
      const answers = await ask(fields);
      expectFull(answers);
      expect(withEnd(answers)).toEqual([]);
    },
  );

  it.each([{}, { ignore_eos: true }, { min_tokens: maxTokens, ignore_eos: true }])(
    'have none of the words of bad_words, which they had before, beside %o',
    async (fields) => {
      const before = await ask(fields);
      // Two letters of each answer, and one more that none of these is.
      const pairs = before.all.map(({ text }) => /[a-z]{2}/.exec(text)?.[0] ?? '');
      const letters = before.all.flatMap(({ text }) => text.match(/[a-z]/g) ?? []);
      const words = [...pairs, letters.find((letter) => !pairs.join('').includes(letter)) ?? ''];
      expect(words).not.toContain('');
      const answers = await ask({ ...fields, bad_words: words });
      // A token of one letter stays one: an end token that ignore_eos let pass parts what is around it, though no text shows it.
      const spelt = answers.all.map(({ tokens }) =>
        tokens.map((token) => (token.length === 1 ? token : ' ')).join(''),
      );
      for (const text of spelt) for (const word of words) expect(text).not.toContain(word);
      if ('ignore_eos' in fields) expectFull(answers);
    },
  );
});
