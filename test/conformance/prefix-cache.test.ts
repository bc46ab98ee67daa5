import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateEvent, GenerateInput } from '../../src/runtime/engine/engine.ts';
import type { RequestContext } from '../../src/runtime/routing/request.ts';
import { scopeOf } from '../../src/runtime/serving/request-scope.ts';
import { FakeClock } from '../../src/time/fake-clock.ts';
import { fixtureFolder } from '../support/fixture-models.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { aroundSteps, endless, stepsDuring, TestHost } from './support/host.ts';
import { compileFor, golden, tinyFolder, tinyModel } from './support/tiny.ts';

/** Of a row of up to 64 tokens: a page of each of two heads of keys and values of two layers. */
const rowBytes = 8 * 4096;
const cache = folderOfTests();
const open = (options: Parameters<typeof TestHost.tiny>[1] = {}): Promise<TestHost> =>
  TestHost.tiny(tinyModel('fp32'), options, cache);

describe('a request of a scope', () => {
  let host: TestHost;
  const prompt = golden.prompts.flatMap(({ input_ids }) => input_ids);
  const first = (adapter: string | null, scope: string): GenerateInput =>
    endless(adapter, '', 12, { scope, prompt: { kind: 'ids', ids: prompt } });
  /** The next one of the conversation: all of the first one and more. */
  const nextOf = (input: GenerateInput, answer: readonly number[]): GenerateInput => ({
    ...input,
    prompt: { kind: 'ids', ids: [...prompt, ...answer, 61, 62, 63] },
  });

  beforeAll(async () => {
    host = await open({ maxConcurrent: 2 });
  });
  afterAll(() => host.close());

  it('uses keys and values of the one before again, and gives what it gives without', async () => {
    for (const adapter of [null, 'upper']) {
      const before = await host.ask(first(adapter, 'one'));
      expect(before.done.cachedTokens ?? 0).toBe(0);
      const next = nextOf(first(adapter, 'one'), before.ids);
      const { scope: _, ...without } = next;
      const fresh = await host.ask(without);
      expect(fresh.done.cachedTokens ?? 0).toBe(0);
      const reused = await host.ask(next);
      // The last token of the answer was not run.
      expect(reused.done.cachedTokens).toBe(before.done.promptTokens + before.ids.length - 1);
      expect(reused.done.promptTokens).toBe(fresh.done.promptTokens);
      expect(reused.ids).toEqual(fresh.ids);
    }
  });

  it('uses nothing of another adapter, and gives what its own gives alone', async () => {
    const input = first(null, 'flip');
    const { scope: _, ...without } = input;
    await host.ask(input);
    const alone = await host.ask({ ...without, engineName: 'reverse' });
    const flipped = await host.ask({ ...input, engineName: 'reverse' });
    expect(flipped.done.cachedTokens ?? 0).toBe(0);
    expect(flipped.ids).toEqual(alone.ids);
    const back = await host.ask(input);
    expect(back.done.cachedTokens).toBe(back.done.promptTokens - 1);
    expect(back.ids).toEqual((await host.ask(without)).ids);
  });

  it('uses nothing of another scope, nor without one', async () => {
    await host.ask(first('upper', 'mine'));
    const other = await host.ask(first('upper', 'yours'));
    expect(other.done.cachedTokens ?? 0).toBe(0);
    for (let time = 0; time < 2; time += 1) {
      const { scope: _, ...without } = first('upper', 'mine');
      expect((await host.ask(without)).done.cachedTokens ?? 0).toBe(0);
    }
  });

  // Pairs whose parts are the same when they are put one after the other, or whose names are those of others' parts.
  it.each([
    [
      { namespace: 'a', tenant: 'b' },
      { namespace: 'b', tenant: 'a' },
    ],
    [
      { namespace: 'team', tenant: 'a-b' },
      { namespace: 'team-a', tenant: 'b' },
    ],
    [
      { namespace: 'a', tenant: 'anna' },
      { namespace: 'a', user: 'anna' },
    ],
    [{ namespace: 'a', user: 'anna' }, { namespace: 'a' }],
    [
      { namespace: 'a', tenant: 'x","user":"y' },
      { namespace: 'a', tenant: 'x', user: 'y' },
    ],
    [{ namespace: 'a', tenant: 'null' }, { namespace: 'a' }],
    [
      { namespace: 'a', tenant: '["a"]' },
      { namespace: 'a', tenant: 'a' },
    ],
  ])('uses nothing of another caller, and what is there of the same: %j, %j', async (one, other) => {
    const fresh = await open({ maxConcurrent: 2 });
    try {
      const cachedOf = async (who: Partial<RequestContext> & { readonly namespace: string }) => {
        const { scope } = scopeOf({ model: '', headers: new Map(), ...who });
        return (await fresh.ask(first(null, scope))).done.cachedTokens ?? 0;
      };
      expect([await cachedOf(one), await cachedOf(other)]).toEqual([0, 0]);
      expect(await cachedOf(one)).toBe(prompt.length - 1);
      expect(await cachedOf(other)).toBe(prompt.length - 1);
    } finally {
      await fresh.close();
    }
  });

  it('uses what one that was cancelled left of its prompt and answer', async () => {
    const input = endless('hello', 'moon: fish: star: dog: ', 100, { scope: 'left' });
    const left = host.start(input);
    await left.given(20);
    left.cancel();
    await expect(left.answer).rejects.toThrow('cancelled');
    const again = await host.ask(input);
    expect(again.done.cachedTokens).toBe(again.done.promptTokens - 1);
    const { scope: _, ...without } = input;
    expect(again.ids).toEqual((await host.ask(without)).ids);
  });

  it('makes way for requests and is computed again', async () => {
    const small = await open({ kvBudgetBytes: 2 * rowBytes });
    const input = first(null, 'one');
    const expected = await small.ask(input);
    expect((await small.ask(input)).done.cachedTokens).toBeGreaterThan(0);
    await small.ask(endless(null, 'x', 110));
    const again = await small.ask(input);
    expect(again.done.cachedTokens ?? 0).toBe(0);
    expect(again.ids).toEqual(expected.ids);
    await small.close();
  });
});

describe('requests with one system prompt', () => {
  const system = Array.from({ length: 100 }, (_, at) => 60 + ((at * at + 7 * at) % 19));
  const ask = (user: number, more: Partial<GenerateInput> = {}): GenerateInput =>
    endless('upper', '', 10, {
      scope: 'tenant',
      prompt: {
        kind: 'ids',
        ids: [...system, ...Array.from({ length: 9 }, (_, at) => 60 + ((at * user) % 17))],
      },
      ...more,
    });
  const users = [1, 2, 3, 4, 5, 6].map((user) => ask(user));
  let host: TestHost;
  let alone: readonly (readonly number[])[];
  beforeAll(async () => {
    host = await open({ maxConcurrent: 3 });
    alone = await host.alone(users);
  });
  afterAll(() => host.close());

  it('compute it once, whether one comes after the other or all at once', async () => {
    for (const scope of ['one', 'two']) {
      const inputs = users.map((input) => ({ ...input, scope }));
      const { result, steps } = await stepsDuring(async () => {
        if (scope === 'two') return await Promise.all(inputs.map((input) => host.ask(input)));
        const answers = [];
        for (const input of inputs) answers.push(await host.ask(input));
        return answers;
      });
      expect(result.map(({ ids }) => ids)).toEqual(alone);
      const cached = result.map(({ done }) => done.cachedTokens ?? 0).toSorted((a, b) => a - b);
      expect(cached[0]).toBe(0);
      expect(Math.min(...cached.slice(1))).toBeGreaterThanOrEqual(system.length);
      const computed = steps.filter(({ tokens }) => tokens > 1).reduce((sum, { tokens }) => sum + tokens, 0);
      expect(computed).toBe(system.length + 9 + cached.slice(1).reduce((sum, own) => sum + 109 - own, 0));
    }
  });

  it('compute all of it where the cache is off, also in one scope', async () => {
    const off = await open({ prefixCache: false });
    for (const input of [users[0]!, users[0]!]) {
      const { ids, done } = await off.ask(input);
      expect(ids).toEqual(alone[0]);
      expect(done.cachedTokens).toBe(0);
    }
    await off.close();
  });

  it('count what they had, and what was there of it', async () => {
    const counting = await open({ maxConcurrent: 3 });
    for (const input of users) await counting.ask(input);
    const { promptTokens, cachedTokens } = counting.host.now();
    expect(promptTokens).toBe(6 * 109);
    expect(cachedTokens).toBeGreaterThanOrEqual(5 * system.length);
    await counting.close();
  });
});

describe('the time of a first token that versions are compared by', () => {
  it('is that of the whole prompt, wherever it begins', async () => {
    const clock = new FakeClock();
    const host = await open({ clock });
    const restore = aroundSteps((given, prepare) => {
      const run = prepare(given);
      return async () => {
        const logits = await run();
        // A millisecond for each token, and four for each step.
        clock.advance(4 + (given[1].ids[0]?.length ?? 0));
        return logits;
      };
    });
    const times: (number | undefined)[] = [];
    const computed: (number | undefined)[] = [];
    const ask = (ids: readonly number[], id: number): Promise<unknown> =>
      new Promise((resolve) => {
        const input = endless(null, '', 2, { scope: 'one', prompt: { kind: 'ids', ids } });
        const emit = (event: GenerateEvent): void => {
          if (event.kind !== 'token' || event.firstTokenMs === undefined) return;
          times.push(event.firstTokenMs);
          computed.push(event.computedTokens);
        };
        host.host.generate(id, input, emit, resolve);
      });
    const ids = Array.from({ length: 60 }, (_, at) => 60 + ((at * at) % 19));
    await ask(ids, 1);
    await ask([...ids.slice(0, 40), ...ids.slice(0, 20)], 2);
    expect(times).toEqual([64, 64]);
    expect(computed).toEqual([60, 20]);
    restore();
    await host.close();
  });
});

describe('an adapter that is replaced', () => {
  it('meets nothing of the one before it under its name', async () => {
    const host = await open();
    const files = await Promise.all(
      ['upper', 'reverse'].map((name) =>
        compileFor(host.host.info, join(tinyFolder, 'adapters', name), cache),
      ),
    );
    const input = (scope: string): GenerateInput =>
      endless('changes', 'moon: star: fish: dog:', 20, { scope });
    const [upper, reverse] = await host.alone([
      { ...input('x'), engineName: 'upper' },
      { ...input('x'), engineName: 'reverse' },
    ]);
    expect(upper).not.toEqual(reverse);
    for (const [file, ids] of [
      [files[0]!, upper],
      [files[1]!, reverse],
      [files[0]!, upper],
    ] as const) {
      await host.host.load('changes', file);
      const first = await host.ask(input('one'));
      expect(first.ids).toEqual(ids);
      // The third time, that of the first is there again.
      const again = await host.ask(input('one'));
      expect(again.ids).toEqual(ids);
      expect(again.done.cachedTokens).toBe(again.done.promptTokens - 1);
      await host.host.unload('changes');
    }
    await host.host.load('changes', files[1]!);
    const other = await host.ask(input('two'));
    expect(other.done.cachedTokens).toBe(0);
    await host.close();
  });
});

describe('a graph that takes one request at a time', () => {
  it('computes every prompt', async () => {
    const host = await TestHost.open(fixtureFolder('optimum-llama'));
    const ids = Array.from({ length: 24 }, (_, at) => 3 + (at % 15));
    const input = endless(null, '', 5, { scope: 'one', prompt: { kind: 'ids', ids } });
    const [first, second] = [await host.ask(input), await host.ask(input)];
    expect(second.ids).toEqual(first.ids);
    expect(second.done.cachedTokens).toBe(0);
    await host.close();
  });
});
