import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { GenerateInput, Structure } from '../../src/runtime/engine/engine.ts';
import { Structures } from '../../src/runtime/engine/structure/structures.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { request } from './support/engine.ts';
import { stepsDuring, TestHost } from './support/host.ts';
import { tinyAdapters, tinyModel } from './support/tiny.ts';

const cache = folderOfTests();
const schema = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 8, pattern: '^[a-z ]*$' },
    size: { enum: ['small', 'medium', 'large'] },
    count: { type: 'integer', minimum: 0, maximum: 999 },
  },
  required: ['name', 'size', 'count'],
  additionalProperties: false,
};
const json: Structure = { kind: 'json', source: JSON.stringify(schema) };
const isValid = new Ajv2020().compile(schema);

const structured = (adapter: string | null, text: string, more: Partial<GenerateInput> = {}): GenerateInput =>
  request(adapter, text, { maxTokens: 200, structure: json, ...more });

const expectValid = (text: string): void => {
  expect(isValid(JSON.parse(text)), text).toBe(true);
};

const sampled = (seed: number) => ({ temperature: 1.5, topK: 0, topP: 1, seed });
const everyone = [null, ...tinyAdapters];
/** Each adapter with a structure of its own, and beside it without one. */
const crowd: readonly GenerateInput[] = everyone.flatMap((adapter, index) => [
  structured(adapter, `moon ${index}:`),
  request(adapter, 'moon:', { maxTokens: 30 }),
]);

describe.each(['fp32', 'int4'] as const)('answers with a structure, in %s', (precision) => {
  let host: TestHost;
  beforeAll(async () => {
    host = await TestHost.tiny(tinyModel(precision), {}, cache);
  });
  afterAll(() => host.close());

  it('are valid, of whatever adapter, and end where they are whole', async () => {
    for (const adapter of everyone) {
      const { text, ids, done } = await host.ask(structured(adapter, 'moon:'));
      expectValid(text);
      expect(done).toMatchObject({ finishReason: 'stop', completionTokens: ids.length });
    }
  });

  it('are valid however tokens are picked', async () => {
    const samplings = [
      (seed: number) => ({ ...sampled(seed), topK: 3 }),
      (seed: number) => ({ ...sampled(seed), topP: 0.5 }),
      (seed: number) => ({ ...sampled(seed), minP: 0.2, repetitionPenalty: 1.3, presencePenalty: 1 }),
      (seed: number) => ({ ...sampled(seed), logitBias: [[5, 100]] as const }),
      sampled,
    ];
    for (let seed = 0; seed < 30; seed += 1) {
      const adapter = everyone[seed % everyone.length] ?? null;
      const sampling = samplings[seed % samplings.length]?.(seed) ?? sampled(seed);
      const { text } = await host.ask(structured(adapter, 'red:', { sampling }));
      expectValid(text);
    }
  });

  it('are those that each gives alone, beside others with and without a structure', async () => {
    const alone = await host.alone(crowd);
    expect(await host.together(crowd)).toEqual(alone);
    // Those without one are what they were.
    for (const [index, input] of crowd.entries())
      if (input.structure === undefined) expect(alone[index]).toEqual((await host.ask(input)).ids);
  });
});

describe('an answer with a structure', () => {
  let host: TestHost;
  beforeAll(async () => {
    host = await TestHost.tiny(tinyModel('fp32'), {}, cache);
  });
  afterAll(() => host.close());

  it('gets in one step what can only follow', async () => {
    const { result, steps } = await stepsDuring(() => host.ask(structured(null, 'moon:')));
    expect(steps.length).toBeLessThan(result.ids.length);
    expect(steps.slice(1).some(({ tokens }) => tokens > 4)).toBe(true);
  });

  it('has the same tokens one by one, where each is to tell how likely it is', async () => {
    const forced = await host.ask(structured('upper', 'moon:'));
    const single = await host.ask(structured('upper', 'moon:', { logprobs: 0 }));
    expect(single.text).toBe(forced.text);
    expect(single.logprobs).toHaveLength(single.ids.length);
  });

  it('says that it is not whole where max_tokens ends it', async () => {
    const { text, done } = await host.ask(structured(null, 'moon:', { maxTokens: 5 }));
    expect(done).toMatchObject({ finishReason: 'length', completionTokens: 5 });
    expect(() => JSON.parse(text) as unknown).toThrow(SyntaxError);
  });

  it('ends at a stop string as any other', async () => {
    const { text, done } = await host.ask(structured(null, 'moon:', { stop: ['"size'] }));
    expect(done.finishReason).toBe('stop');
    expect(text).not.toContain('size');
  });

  it('is one of the choices, or matches, as it is asked', async () => {
    const pick = await host.ask(
      structured('upper', 'moon:', { structure: { kind: 'lark', source: 'start: "yes" | "no"' } }),
    );
    expect(['yes', 'no']).toContain(pick.text);
    const match = await host.ask(
      structured('upper', 'moon:', { structure: { kind: 'regex', source: '[0-9]{3}-[A-Z]{2}' } }),
    );
    expect(match.text).toMatch(/^[0-9]{3}-[A-Z]{2}$/);
  });

  it('is refused with what is wrong, and others go on', async () => {
    const bad: Structure = { kind: 'json', source: '{"uniqueItems": true}' };
    const [good, refused] = await Promise.allSettled([
      host.ask(structured(null, 'moon:')),
      host.ask(structured(null, 'moon:', { structure: bad })),
    ]);
    expect(good.status).toBe('fulfilled');
    expect(refused).toMatchObject({
      reason: { code: 'STRUCTURE_UNSUPPORTED', message: expect.stringContaining('uniqueItems') },
    });
    expect(host.host.now().running).toBe(0);
  });

  it('is refused where the memory for structures is less than it takes, and others go on', async () => {
    const small = await TestHost.tiny(tinyModel('fp32'), { structureBudgetBytes: 1 << 20 }, cache);
    await expect(small.ask(structured(null, 'moon:'))).rejects.toMatchObject({
      code: 'STRUCTURE_TOO_COMPLEX',
      message: expect.stringContaining('of the 1 MiB of --structure-memory'),
    });
    const { text } = await small.ask(request('upper', 'moon:', { maxTokens: 8 }));
    expect(text).toBe(' MOON!');
    await small.close();
  });

  it('that nobody uses leaves where budgets shrink, and stays where they grow again', async () => {
    const forgets = vi.spyOn(Structures.prototype, 'forgetUnused');
    const small = await TestHost.tiny(tinyModel('fp32'), {}, cache);
    for (const kvBytes of [1 << 20, 2 << 20, 3 << 20]) small.host.limit({ kvBytes, givesBack: true });
    expect(forgets).toHaveBeenCalledTimes(1);
    forgets.mockRestore();
    await small.close();
  });

  it('that is given up does not wait for its structure', async () => {
    const slow: Structure = { kind: 'regex', source: '.*a.{1,1500}.*b.{1,1500}.*' };
    const others = [1, 2, 3].map((tenant) =>
      host.start(structured(null, 'moon:', { structure: slow, tenant: `${tenant}`, maxTokens: 1 })),
    );
    const last = host.start(structured(null, 'moon:', { structure: { kind: 'regex', source: 'last' } }));
    let ended = 0;
    for (const { answer } of others)
      answer.then(
        () => (ended += 1),
        () => (ended += 1),
      );
    last.cancel();
    await expect(last.answer).rejects.toThrow('cancelled');
    expect(ended).toBe(0);
    for (const other of others) other.cancel();
    await Promise.allSettled(others.map(({ answer }) => answer));
    expect(host.host.now()).toMatchObject({ running: 0, waiting: 0 });
  });

  it('can be given up before it begins, and while it comes', async () => {
    const before = host.start(structured(null, 'moon:', { structure: { kind: 'regex', source: 'never' } }));
    before.cancel();
    await expect(before.answer).rejects.toThrow('cancelled');
    const during = host.start(structured(null, 'moon:', { structure: { kind: 'regex', source: '[a-z]+' } }));
    await during.given(3);
    during.cancel();
    await expect(during.answer).rejects.toThrow('cancelled');
    expect(host.host.now()).toMatchObject({ running: 0, waiting: 0 });
  });
});

it('guessed tokens change nothing: each is one that the structure lets come, and the one that comes without guesses', async () => {
  const host = await TestHost.tiny(tinyModel('fp32'), { speculation: true }, cache);
  for (let seed = 0; seed < 40; seed += 1) {
    const adapter = everyone[seed % everyone.length] ?? null;
    const more = { scope: `${seed % 2}`, ...(seed % 3 === 0 ? { sampling: sampled(seed) } : {}) };
    const input = structured(adapter, `moon: {"name": "moon", "size": "large", "count": 1} `, more);
    const expected = await host.ask({ ...input, speculate: false });
    const { text } = await host.ask(input);
    expectValid(text);
    if (seed % 3 !== 0) expect(text, `seed ${seed}`).toBe(expected.text);
  }
  expect(host.host.now().speculation.acceptedTokens).toBeGreaterThan(0);
  await host.close();
});
