import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateInput, Structure } from '../../src/runtime/engine/engine.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { failsWith, request } from './support/engine.ts';
import { TestHost } from './support/host.ts';
import { adapters, askOf, expectSame, nearTie, plain, TimedSteps } from './support/speculation.ts';
import { tinyModel } from './support/tiny.ts';

const cache = folderOfTests();
/** The model's own end token, and tokens of its context. */
const end = 2;
const context = 256;
const greedy = { temperature: 0, topK: 0, topP: 1 };
const drawn = (seed: number) => ({ temperature: 1.5, topK: 0, topP: 1, seed });
const hello = (more: Partial<GenerateInput> = {}): GenerateInput =>
  request('hello', 'moon:', { maxTokens: 60, ...more });
const regex = (source: string): Structure => ({ kind: 'regex', source });

let host: TestHost;
beforeAll(async () => {
  host = await TestHost.tiny(tinyModel('fp32'), {}, cache);
});
afterAll(() => host.close());

describe('min_tokens', () => {
  it('keeps a greedy answer from its end until it has as many, and no longer', async () => {
    const short = await host.ask(hello());
    expect(short.done.finishReason).toBe('stop');
    const own = short.ids.length - 1;
    expect(own).toBeGreaterThan(2);
    // Its own length changes nothing.
    expect((await host.ask(hello({ minTokens: own }))).ids).toEqual(short.ids);
    const long = await host.ask(hello({ minTokens: own + 10 }));
    expect(long.ids.slice(0, own)).toEqual(short.ids.slice(0, own));
    expect(long.ids.slice(0, own + 10)).not.toContain(end);
    expect(long.ids.length).toBeGreaterThanOrEqual(own + 10);
    expect(long.done.completionTokens).toBe(long.ids.length);
    const whole = await host.ask(hello({ minTokens: 60 }));
    expect(whole.done).toMatchObject({ finishReason: 'length', completionTokens: 60 });
    expect(whole.ids).not.toContain(end);
  });

  it('keeps drawn answers from their ends, of the model and of the request', async () => {
    const early: number[] = [];
    for (let seed = 0; seed < 20; seed += 1) {
      const sampling = drawn(seed);
      const stopTokenIds = [100, 114];
      const ask = async (minTokens: number) =>
        (await host.ask(hello({ sampling, stopTokenIds, minTokens }))).ids;
      early.push((await ask(0)).length);
      for (const id of (await ask(25)).slice(0, 25)) expect([end, ...stopTokenIds]).not.toContain(id);
    }
    expect(early.filter((tokens) => tokens < 25).length).toBeGreaterThan(5);
  });

  it('lets a stop string end nothing that is complete within them', async () => {
    const { text } = await host.ask(hello());
    const stop = [text.slice(1, 3)];
    expect((await host.ask(hello({ stop }))).done.completionTokens).toBe(3);
    const later = await host.ask(hello({ stop, minTokens: 3 }));
    expect(later.done.completionTokens).toBeGreaterThan(3);
    expect(later.text.startsWith(text.slice(0, 3))).toBe(true);
  });

  it('leaves log probabilities those of the model, which thinks of its end', async () => {
    const { ids } = await host.ask(hello());
    const { logprobs, ids: longer } = await host.ask(hello({ minTokens: 30, logprobs: 2 }));
    expect(longer).toEqual((await host.ask(hello({ minTokens: 30 }))).ids);
    const at = logprobs[ids.length - 1]!;
    expect(at.top[0]).toMatchObject({ id: end });
    expect(at.id).not.toBe(end);
    expect(at.logprob).toBeLessThan(at.top[0]!.logprob);
  });

  it('counts the tokens of the answer, not those of a prompt that was there already', async () => {
    const prompt = { kind: 'text', text: 'moon: fish: star: '.repeat(3) } as const;
    const input = hello({ prompt, minTokens: 30 });
    const { ids } = await host.ask(input);
    expect(ids.slice(0, 30)).not.toContain(end);
    for (let time = 0; time < 2; time += 1) {
      const again = await host.ask({ ...input, scope: 'a' });
      expect(again.ids).toEqual(ids);
      if (time > 0) expect(again.done.cachedTokens).toBeGreaterThan(0);
    }
  });

  it('is refused where the prompt leaves less room', async () => {
    const input = hello({ maxTokens: context, fitContext: true });
    expect(() => host.start({ ...input, minTokens: context - 4 })).toThrow(
      failsWith('PROMPT_TOO_LONG', 'at least 252 are asked for'),
    );
    const { done } = await host.ask({ ...input, minTokens: context - 6 });
    expect(done.promptTokens + done.completionTokens).toBeGreaterThanOrEqual(context - 1);
  });
});

describe('ignore_eos', () => {
  it('goes on behind end tokens, which have no text, until max_tokens', async () => {
    const short = await host.ask(hello());
    const { ids, text, done } = await host.ask(hello({ ignoreEos: true }));
    expect(done).toMatchObject({ finishReason: 'length', completionTokens: 60 });
    expect(ids.slice(0, short.ids.length)).toEqual(short.ids);
    expect(ids).toHaveLength(60);
    expect(text.startsWith(short.text)).toBe(true);
    expect(text).not.toContain('im_end');
    expect(text).toBe(host.codec.decode(ids));
  });

  it('ends at the context', async () => {
    const input = hello({ ignoreEos: true, maxTokens: context, fitContext: true });
    const { done } = await host.ask(input);
    expect(done.finishReason).toBe('length');
    expect(done.promptTokens + done.completionTokens).toBe(context);
  });

  it('ends at stop strings and stop tokens, the own end token too where it is one', async () => {
    const { ids, text } = await host.ask(hello());
    const ask = (more: Partial<GenerateInput>) => host.ask(hello({ ignoreEos: true, ...more }));
    const stopped = await ask({ stop: [text.slice(2, 4)] });
    expect([stopped.text, stopped.done.finishReason]).toEqual([text.slice(0, 2), 'stop']);
    expect((await ask({ stopTokenIds: [ids[2]!] })).ids).toEqual(ids.slice(0, 1 + ids.indexOf(ids[2]!)));
    expect(await ask({ stopTokenIds: [end] })).toMatchObject({ ids, done: { finishReason: 'stop' } });
  });

  it('with min_tokens gives no end token before, as in vLLM', async () => {
    const { ids, done } = await host.ask(hello({ ignoreEos: true, minTokens: 30 }));
    expect(ids.slice(0, 30)).not.toContain(end);
    expect(done).toMatchObject({ finishReason: 'length', completionTokens: 60 });
  });
});

describe('bad_words', () => {
  it('do not come, greedily or drawn, wherever the answer would have them', async () => {
    const { text } = await host.ask(hello());
    const badWords = [text.trim().slice(0, 3), text.slice(2, 4), 'o'];
    const without = async (sampling: GenerateInput['sampling']): Promise<void> => {
      const answer = await host.ask(hello({ badWords, sampling, ignoreEos: true }));
      for (const word of badWords) expect(answer.text).not.toContain(word);
      expect(answer.ids).toHaveLength(60);
    };
    await without(greedy);
    for (let seed = 0; seed < 10; seed += 1) await without(drawn(seed));
    // What is not near stays what it was.
    expect((await host.ask(hello({ badWords: ['zebra'] }))).text).toBe(text);
  });

  it('fill a request up to the bounds', async () => {
    const badWords = Array.from({ length: 1024 }, (_, word) => `o${word}`);
    expect((await host.ask(hello({ badWords }))).text).toBe((await host.ask(hello())).text);
  });

  it('that leave no token are an error of their request alone', async () => {
    const every = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)).filter(
      (word) => word.trim() !== '',
    );
    const [one, other, none] = await Promise.allSettled([
      host.ask(hello({ structure: regex('(yes|no)'), badWords: ['y', 'no'] })),
      host.ask(hello()),
      host.ask(hello({ structure: regex('[a-z]{9}'), badWords: every })),
    ]);
    for (const { status, reason } of [one, none] as readonly PromiseRejectedResult[])
      expect([status, reason]).toEqual(['rejected', failsWith('REQUEST_INVALID', 'bad_words')]);
    expect(other.status).toBe('fulfilled');
    expect(host.host.now()).toMatchObject({ running: 0, waiting: 0 });
    const { text } = await host.ask(hello({ structure: regex('(yes|no)'), badWords: ['y'] }));
    expect(text).toBe('no');
  });

  it('that would forbid the end of the answer are refused by name, and hold where it ends nothing', async () => {
    for (const word of ['<|im_end|>', 'moon<|im_end|>', ' <|im_end|>'])
      await expect(host.ask(hello({ badWords: [word] }))).rejects.toEqual(
        failsWith('REQUEST_INVALID', 'bad_words has <|im_end|>, an end token of the model'),
      );
    expect(host.host.now()).toMatchObject({ running: 0, waiting: 0 });
    const { ids } = await host.ask(hello({ badWords: ['<|im_end|>'], ignoreEos: true }));
    expect(ids).toHaveLength(60);
    expect(ids).not.toContain(end);
  });

  it('hold where a structure leaves one way, which comes token by token then', async () => {
    const structure = regex('(abcdefgh|abcdefxy)z*');
    const { text } = await host.ask(hello({ structure, badWords: ['fg'], maxTokens: 9 }));
    expect(text).toMatch(/^abcdefxyz*$/);
    await expect(host.ask(hello({ structure: regex('abcdefgh'), badWords: ['ef'] }))).rejects.toEqual(
      failsWith('REQUEST_INVALID', 'bad_words'),
    );
  });
});

describe('beside a structure', () => {
  const json: Structure = {
    kind: 'json',
    source:
      '{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"],"additionalProperties":false}',
  };

  it.each<Partial<GenerateInput>>([
    { minTokens: 40 },
    { ignoreEos: true },
    { minTokens: 40, ignoreEos: true },
  ])('%o lets it end where nothing else may come', async (more) => {
    for (const adapter of adapters)
      for (const sampling of [greedy, drawn(5)]) {
        const { text, done } = await host.ask(
          hello({ engineName: adapter, sampling, structure: json, ...more }),
        );
        expect(JSON.parse(text)).toEqual({ a: expect.any(Boolean) });
        expect(done.finishReason).toBe('stop');
      }
  });

  it('keeps it from its end as long as another token may come', async () => {
    const structure = regex('[a-c]*');
    for (const sampling of [greedy, ...[1, 2, 3].map(drawn)]) {
      const least = await host.ask(hello({ sampling, structure, minTokens: 20 }));
      expect(least.text).toMatch(/^[a-c]{20,}$/);
      const most = await host.ask(hello({ sampling, structure, ignoreEos: true }));
      expect(most.text).toMatch(/^[a-c]{60}$/);
      expect(most.done.finishReason).toBe('length');
    }
    const bounded = await host.ask(
      hello({ structure: regex('[a-c]{0,30}'), ignoreEos: true, minTokens: 50 }),
    );
    expect(bounded.text).toMatch(/^[a-c]{30}$/);
    expect(bounded.done.finishReason).toBe('stop');
  });
});

it('a stop token that alone may come in a structure ends nothing before min_tokens', async () => {
  const stopTokenIds = host.codec.encodePart('ye');
  for (const source of ['xyz', 'abcdefxyzghijkl']) {
    const ask = (minTokens: number) => host.ask(hello({ structure: regex(source), stopTokenIds, minTokens }));
    expect((await ask(0)).text).toBe(source.slice(0, source.search(/[ye]/)));
    expect((await ask(source.length)).text).toBe(source);
  }
});

/** Some of all of it, of whatever prompt and adapter. */
const crowd = (count: number): readonly GenerateInput[] =>
  Array.from({ length: count }, (_, seed) =>
    askOf(seed + 1, {
      sampling: seed % 2 === 0 ? greedy : { ...drawn(seed), temperature: 0.5 },
      ...[{ minTokens: 35 }, { ignoreEos: true }, { minTokens: 20, badWords: ['o', 'sh', ' m'] }][seed % 3],
    }),
  );

it('tokens that are guessed are held to the same: answers are those without', async () => {
  const steps = new TimedSteps();
  const guessing = await TestHost.tiny(tinyModel('fp32'), { speculation: true, clock: steps.clock }, cache);
  for (const [index, input] of crowd(30).entries()) {
    const expected = await guessing.ask(plain(input));
    expectSame(await guessing.ask({ ...input, scope: 'all' }), expected, nearTie.fp32, `${index}`);
    if (input.minTokens !== undefined) expect(expected.ids.slice(0, input.minTokens)).not.toContain(end);
    if (input.ignoreEos === true) expect(expected.ids).toHaveLength(40);
  }
  const { draftTokens, acceptedTokens } = guessing.host.now().speculation;
  expect(acceptedTokens).toBeGreaterThan(100);
  expect(draftTokens).toBeGreaterThan(acceptedTokens);
  steps.restore();
  await guessing.close();
});

it('answers that are paused and go on are those that each gives alone', async () => {
  const rowBytes = 8 * 4096;
  const small = await TestHost.tiny(tinyModel('fp32'), { kvBudgetBytes: 8 * 3 * rowBytes }, cache);
  const long = Array.from({ length: 8 }, (_, seed) =>
    hello({
      prompt: { kind: 'text', text: `${'moon: fish: '.repeat(3)}${'star:'.slice(seed % 5)}` },
      maxTokens: 200,
      sampling: { ...drawn(seed), temperature: 0.2 },
      ...[{ minTokens: 190 }, { ignoreEos: true }, { minTokens: 150, badWords: ['o', 'el'] }][seed % 3],
    }),
  );
  const alone = await small.alone(long);
  expect(await small.together(long)).toEqual(alone);
  expect(small.host.now().preemptions).toBeGreaterThan(0);
  for (const [index, { minTokens: _, ignoreEos: __, ...input }] of long.entries()) {
    expect(alone[index]!.length).toBeGreaterThanOrEqual([190, 200, 150][index % 3]!);
    expect((await small.ask(input)).ids.length).toBeLessThan(100);
  }
  await small.close();
});
