import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Echo, GenerateInput, PromptToken } from '../../src/runtime/engine/engine.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { failsWith, request, startTiny, type TestEngine } from './support/engine.ts';
import { aroundSteps, endless, TestHost } from './support/host.ts';
import { logSumExp } from './support/log-sum-exp.ts';
import { golden, goldenLogits, tinyModel } from './support/tiny.ts';

const tolerance = 1e-4;
const cache = folderOfTests();
let tiny: TestEngine;

beforeAll(async () => {
  tiny = await startTiny({ maxQueue: 64 });
  for (const name of ['upper', 'reverse']) await tiny.engine.load(name, tiny.files[name]!);
});
afterAll(() => tiny.engine.close());

type Told = { readonly echo: Echo | undefined; readonly ids: readonly number[]; readonly cached: number };

const told = async (input: GenerateInput): Promise<Told> => {
  const ids: number[] = [];
  let echo: Echo | undefined;
  for await (const event of tiny.engine.generate(input, new AbortController().signal)) {
    if (event.kind === 'done') return { echo, ids, cached: event.cachedTokens ?? 0 };
    if (ids.length > 0) expect(event).not.toHaveProperty('echo');
    // It takes longer than others' first tokens.
    if (event.echo?.tokens !== undefined) expect(event).not.toHaveProperty('firstTokenMs');
    echo ??= event.echo;
    ids.push(...event.ids);
  }
  throw new Error('the answer ended without `done`');
};

const echoed = { echo: { maxTokens: 4096 }, logprobs: 2 } as const;

/** What torch says of each token but the first. */
const expected = (name: string, prompt: number): readonly number[] => {
  const { input_ids: ids } = golden.prompts[prompt]!;
  const all = goldenLogits(name)[prompt]!;
  return ids.slice(1).map((id, at) => {
    const own = all.subarray(at * golden.vocab_size, (at + 1) * golden.vocab_size);
    return own[id]! - logSumExp(own);
  });
};

const logprobOf = (token: PromptToken): number => ('logprob' in token ? token.logprob : NaN);

const expectTold = (tokens: readonly PromptToken[] | undefined, name: string, prompt: number): void => {
  const [first, ...others] = tokens ?? [];
  expect(first).not.toHaveProperty('logprob');
  expect(tokens?.map(({ id }) => id)).toEqual(golden.prompts[prompt]!.input_ids);
  const right = expected(name, prompt);
  expect(others).toHaveLength(right.length);
  for (const [at, token] of others.entries())
    expect(Math.abs(logprobOf(token) - right[at]!), `token ${at + 1}`).toBeLessThan(tolerance);
};

describe('log probabilities of a prompt', () => {
  it.each(['base', 'upper', 'reverse'])(
    'are those of torch, with %s, whatever runs beside it and was computed before',
    async (name) => {
      const adapter = name === 'base' ? null : name;
      const scope = 'mine';
      // What others may use of keys and values is there.
      for (const { text } of golden.prompts) await told(request(adapter, text, { scope }));
      const asked = golden.prompts.map(({ text }) => request(adapter, text, { ...echoed, scope }));
      const others = golden.prompts.map(({ text }) => told(request('upper', text)));
      const got = await Promise.all(asked.map(told));
      for (const [prompt, { echo, cached }] of got.entries()) {
        expect(echo?.text).toBe(golden.prompts[prompt]!.text);
        expectTold(echo?.tokens, name, prompt);
        expect(cached).toBe(0);
      }
      await Promise.all(others);
    },
  );

  it('are those of torch where a prompt is run in pieces, and name the likeliest tokens', async () => {
    const long = golden.prompts.map(({ input_ids }) => input_ids).flat();
    // More than a step takes at once at first.
    const ids = Array.from({ length: 200 }, (_, at) => long[at % long.length]!);
    const whole = await told({ ...request(null, ''), prompt: { kind: 'ids', ids }, ...echoed });
    const parts = await Promise.all(
      [150, 199].map((length) =>
        told({ ...request(null, ''), prompt: { kind: 'ids', ids: ids.slice(0, length) }, ...echoed }),
      ),
    );
    for (const { echo } of parts) {
      for (const [at, token] of echo!.tokens!.entries()) {
        const same = whole.echo!.tokens![at]!;
        expect(token.id).toBe(same.id);
        if (at > 0) expect(logprobOf(token)).toBeCloseTo(logprobOf(same), 4);
      }
    }
    for (const token of whole.echo!.tokens!.slice(1))
      expect('top' in token && token.top.map(({ logprob }) => logprob)).toHaveLength(2);
    // An answer says of its first token what a prompt says that has it.
    const [next] = whole.ids;
    const more = await told({
      ...request(null, ''),
      prompt: { kind: 'ids', ids: [...ids, next!] },
      ...echoed,
    });
    const last = more.echo!.tokens!.at(-1)!;
    expect('top' in last && last.top[0]!.id).toBe(next);
  });

  it.each([
    ['are kept', {}],
    // Of a row of 256 tokens, which is all that there are.
    ['have to go', { kvBudgetBytes: 4 * 8 * 4096 }],
  ])('are those that it has alone where its keys and values %s while it makes way', async (_, options) => {
    const host = await TestHost.tiny(tinyModel('fp32'), { maxConcurrent: 1, ...options }, cache);
    const prompt = { kind: 'text', text: 'red'.repeat(60) } as const;
    const long = endless('upper', '', 20, { prompt, namespace: 'greedy', scope: 'greedy', ...echoed });
    const sure = endless('reverse', 'moon:'.repeat(30), 10, { namespace: 'modest', guaranteed: 1 });
    const alone = await host.ask(long);
    let asked: ReturnType<TestHost['start']> | undefined;
    let steps = 0;
    const end = aroundSteps((given, prepare) => {
      steps += 1;
      // While the second piece of its prompt is computed.
      if (steps === 2) asked = host.start(sure);
      return prepare(given);
    });
    const before = host.host.now().preemptions;
    const again = await host.ask(long).finally(end);
    await asked?.answer;
    expect(host.host.now().preemptions).toBe(before + 1);
    expect(again.ids).toEqual(alone.ids);
    expect(again.echo!.tokens!.map(({ id }) => id)).toEqual(alone.echo!.tokens!.map(({ id }) => id));
    for (const [at, token] of again.echo!.tokens!.slice(1).entries())
      expect(logprobOf(token)).toBeCloseTo(logprobOf(alone.echo!.tokens![at + 1]!), 4);
    await host.close();
  });

  it('are told of one token, which follows nothing', async () => {
    const [id] = golden.prompts[0]!.input_ids;
    const { echo } = await told({ ...request(null, ''), prompt: { kind: 'ids', ids: [id!] }, ...echoed });
    expect(echo!.tokens).toHaveLength(1);
    expect(echo!.tokens![0]).not.toHaveProperty('logprob');
  });

  it('are refused of more tokens than are allowed, and so is the text of tokens', async () => {
    const [{ text, input_ids: ids }] = golden.prompts as [(typeof golden.prompts)[number]];
    const bound = { echo: { maxTokens: ids.length - 1 } };
    const tokens: GenerateInput = { ...request(null, ''), prompt: { kind: 'ids', ids } };
    await expect(told(request(null, text, { ...bound, logprobs: 1 }))).rejects.toEqual(
      failsWith('REQUEST_INVALID', `with logprobs 1 tells prompts of ${ids.length - 1} tokens at most`),
    );
    await expect(told({ ...tokens, ...bound })).rejects.toEqual(failsWith('REQUEST_INVALID'));
    expect((await told(request(null, text, bound))).echo).toEqual({ text });
    expect((await told({ ...tokens, echo: { maxTokens: ids.length } })).echo).toEqual({ text });
  });
});
