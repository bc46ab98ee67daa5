import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { GenerateInput } from '../../src/runtime/engine/engine.ts';
import { fixtureFolder } from '../support/fixture-models.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { folderOfFile, folderOfTests } from '../support/temporary-folder.ts';
import { endless, stepsDuring, TestHost } from './support/host.ts';
import { operator } from './support/operator.ts';
import { compileFor, tinyModel } from './support/tiny.ts';

/** Of a row of up to 64 tokens: a page of each of two heads of keys and values of two layers. */
const rowBytes = 8 * 4096;
const cache = folderOfTests();
const open = (options: Parameters<typeof TestHost.tiny>[1] = {}): Promise<TestHost> =>
  TestHost.tiny(tinyModel('fp32'), options, cache);

/** True when no request gave a token between two of another one. */
const oneAfterTheOther = (tokens: readonly number[]): boolean =>
  tokens.filter((id, at) => id !== tokens[at - 1]).length === new Set(tokens).size;

const few: readonly GenerateInput[] = [
  endless(null, 'moon:', 20),
  endless('upper', 'fish:', 30),
  endless('hello', 'x', 25),
  endless('digits', 'star: dog: ', 15),
];

describe('the memory for keys and values', () => {
  let alone: readonly (readonly number[])[];
  beforeAll(async () => {
    const host = await open();
    alone = await host.alone(few);
    await host.close();
  });

  it('that has room for one request lets them run one after the other', async () => {
    const host = await open({ kvBudgetBytes: rowBytes });
    const { result, steps } = await stepsDuring(() => host.together(few));
    expect(result).toEqual(alone);
    expect(Math.max(...steps.map(({ rows }) => rows))).toBe(1);
    expect(oneAfterTheOther(host.tokens)).toBe(true);
    await host.close();
  });

  it('says how many run, how many wait for it, and what they want of it', async () => {
    const host = await open({ kvBudgetBytes: rowBytes });
    const asked = few.map((input) => host.start(input));
    await asked[0]!.given(3);
    expect(host.host.now()).toMatchObject({ running: 1, waiting: 3 });
    expect(host.host.now().limits).toEqual([
      {
        flag: '--kv-memory',
        effect: expect.any(String),
        neededBytes: 2 * rowBytes,
        budgetBytes: rowBytes,
      },
    ]);
    await Promise.all(asked.map(({ answer }) => answer));
    expect(host.host.now()).toMatchObject({ running: 0, waiting: 0 });
    await host.close();
  });

  it('that has room for the prompts of eight lets eight run at once, and all end with the tokens that they give alone', async () => {
    const prompt = (seed: number): readonly number[] =>
      Array.from({ length: 40 }, (_, at) => 40 + ((at * at + 3 * seed * at + seed) % 20));
    const long = Array.from({ length: 8 }, (_, seed) =>
      endless(null, '', 200, { prompt: { kind: 'ids', ids: prompt(seed) } }),
    );
    const host = await open({ kvBudgetBytes: 8 * 3 * rowBytes });
    const expected = await host.alone(long);
    // What all of them become takes 32 pages of each head, and there are 24.
    const { result, steps } = await stepsDuring(() => host.together(long));
    expect(result).toEqual(expected);
    expect(Math.max(...steps.map(({ rows }) => rows))).toBe(8);
    expect(host.host.now().preemptions).toBeGreaterThan(0);
    await host.close();
  });

  it('that has room for two lets two run at a time', async () => {
    const host = await open({ kvBudgetBytes: 2 * rowBytes });
    const { result, steps } = await stepsDuring(() => host.together(few));
    expect(result).toEqual(alone);
    // In the portable way rows with different adapters do not share a step.
    expect(Math.max(...steps.map(({ rows }) => rows))).toBe(operator === undefined ? 1 : 2);
    expect(oneAfterTheOther(host.tokens)).toBe(false);
    await host.close();
  });

  it('that has no room for a request, ever, refuses it and says what holds how much', async () => {
    const host = await open({ kvBudgetBytes: rowBytes });
    const refusal = expect.objectContaining({
      code: 'PROMPT_TOO_LONG',
      message: expect.stringMatching(
        /is 64 tokens, as the memory for keys and values \(--kv-memory\) holds no more/,
      ),
      advice: expect.stringContaining('A larger --kv-memory'),
    });
    expect(() => host.start(endless(null, 'moon:', 60))).toThrow(refusal);
    expect((await host.ask(endless(null, 'moon:', 59))).ids).toHaveLength(59);
    const fitted = await host.ask(endless(null, 'moon:', 1000, { fitContext: true }));
    expect(fitted.ids).toHaveLength(59);
    await host.close();
  });

  it('refuses what is longer than the context by that, where it is larger', async () => {
    const host = await open();
    expect(() => host.start(endless(null, 'moon:', 252))).toThrow(
      expect.objectContaining({
        code: 'PROMPT_TOO_LONG',
        message: expect.stringMatching(/maximum context length is 256 tokens;/),
      }),
    );
    await host.close();
  });
});

describe('requests that are paused for another tenant', () => {
  const greedy = [
    endless('upper', 'moon:', 120, { tenant: 'greedy' }),
    endless(null, 'fish:', 120, { tenant: 'greedy' }),
    endless('upper', 'x', 120, {
      tenant: 'greedy',
      sampling: { temperature: 3, topK: 0, topP: 1, seed: 7, logitBias: [[2, -1000]] },
    }),
  ];
  const other = endless('reverse', 'star:', 40, { tenant: 'other' });

  it.each([
    ['with room for all that is saved', 64 << 20],
    ['with little room', 2 * 2 * rowBytes + 80 * 512],
  ])('give the tokens that they give alone, %s', async (_, kvBudgetBytes) => {
    const host = await open({ maxConcurrent: 2, kvBudgetBytes });
    const expected = await host.alone([...greedy, other]);
    const running = greedy.map((input) => host.start(input));
    await running[0]!.given(20);
    const before = host.tokens.length;
    const late = host.start(other);
    const { result, steps } = await stepsDuring(() => late.answer);
    expect(result.ids).toEqual(expected[3]);
    const prompts = steps.filter(({ tokens }) => tokens > 1).map(({ tokens }) => tokens);
    expect(prompts).toEqual([5]);
    // It did not wait for one of them to end, of which one went on.
    const given = (id: number): number => host.tokens.filter((of) => of === id).length;
    expect(host.tokens.indexOf(late.id) - before).toBeLessThan(10);
    expect(running.map(({ id }) => given(id)).every((tokens) => tokens < 120)).toBe(true);
    const rest = await stepsDuring(() => Promise.all(running.map(({ answer }) => answer)));
    const answers = rest.result;
    expect(answers.map((answer) => answer.ids)).toEqual(expected.slice(0, 3));
    // What is kept comes back: it is not computed again.
    if (kvBudgetBytes > 20 * rowBytes) expect(rest.steps.every(({ tokens }) => tokens === 1)).toBe(true);
    expect(answers.every(({ done }) => (done.cachedTokens ?? 0) === 0)).toBe(true);
    await host.close();
  });
});

describe('a request that needs all of the memory', () => {
  it('gets it, and those that made way for it come back, with the tokens that each gives alone', async () => {
    const host = await open({ maxConcurrent: 2, kvBudgetBytes: 4 * rowBytes });
    const inputs = [
      endless(null, 'moon:', 50, { tenant: 'greedy' }),
      endless('upper', 'fish:', 50, { tenant: 'greedy' }),
      endless('hello', 'x', 40, { tenant: 'other' }),
      endless('reverse', 'star:', 250, { tenant: 'third', priority: 1 }),
    ];
    const expected = await host.alone(inputs);
    const first = inputs.slice(0, 2).map((input) => host.start(input));
    await first[1]!.given(15);
    const third = host.start(inputs[2]!);
    await third.given(2);
    const large = host.start(inputs[3]!);
    const answers = await Promise.all([...first, third, large].map(({ answer }) => answer));
    expect(answers.map(({ ids }) => ids)).toEqual(expected);
    expect(host.host.now().preemptions).toBeGreaterThan(1);
    await host.close();
  });
});

describe('a graph that appends keys and values and does not look at its mask', () => {
  const ask = (adapter: string | null, ids: readonly number[], maxTokens: number): GenerateInput =>
    endless(adapter, '', maxTokens, { prompt: { kind: 'ids', ids } });

  it('takes one sequence at a time, several in turns, and is right', async () => {
    const model = fixtureFolder('optimum-llama');
    const host = await TestHost.open(model);
    expect(host.sessions.rowsTogether).toBe(false);
    expect(host.host.info.room).toMatchObject({ answerTokens: 1024 });
    expect(host.warnings).toEqual([expect.stringContaining('requests run one by one')]);
    const adapter = folderOfFile();
    await writeSyntheticAdapter(adapter, join(model, 'config.json'), { rank: 4, scale: 2 });
    await host.host.load('some', await compileFor(host.host.info, adapter, folderOfFile()));
    const inputs = [
      ask(null, [3, 5, 7], 20),
      ask('some', [3, 5, 7], 20),
      ask(null, [11], 30),
      ask(
        'some',
        Array.from({ length: 24 }, (_, at) => 3 + (at % 15)),
        8,
      ),
    ].map((input) => ({ ...input, scope: 'one' }));
    const expected = await host.alone(inputs);
    expect(expected[1]).not.toEqual(expected[0]);
    const { result, steps } = await stepsDuring(() => host.together(inputs));
    expect(result).toEqual(expected);
    expect(new Set(steps.map(({ rows }) => rows))).toEqual(new Set([1]));
    expect(oneAfterTheOther(host.tokens.slice(-78))).toBe(false);
    await host.close();
  });
});
