import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateInput } from '../../src/runtime/engine/engine.ts';
import { RowCache } from '../../src/runtime/engine/session/kv-rows.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { folderOfFile, folderOfTests } from '../support/temporary-folder.ts';
import { withNaN } from './support/engine.ts';
import { aroundSteps, eight, endless, stepsDuring, TestHost } from './support/host.ts';
import { openModel, withLora } from './support/open-model.ts';
import { itWithOperator, operator } from './support/operator.ts';
import { compileFor, golden, maxDifference, tinyAdapters, tinyFolder, tinyModel } from './support/tiny.ts';

/** Largest difference of logits, which reach 12.8, between a row by itself and beside others. */
const tolerance = { fp32: 1e-4, int4: 1e-4 } as const;

describe.each(['fp32', 'int4'] as const)('rows that run together on the tiny model in %s', (precision) => {
  const cache = folderOfTests();
  let host: TestHost;
  let alone: readonly (readonly number[])[];

  beforeAll(async () => {
    host = await TestHost.tiny(tinyModel(precision), {}, cache);
    alone = await host.alone(eight);
  });
  afterAll(() => host.close());

  it('are proven to be their own when the model is opened', () => {
    expect(host.warnings).toEqual([]);
    expect(host.sessions.rowsTogether).toBe(true);
    // Answers differ, so that a row with the answer of another one shows.
    expect(new Set(alone.map((ids) => ids.slice(0, 8).join(' '))).size).toBe(8);
  });

  itWithOperator('give the logits that each gives alone, whatever its length and adapter', async () => {
    const model = await openModel(tinyModel(precision), cache);
    const { lora } = model.sessions;
    const adapters = [];
    for (const name of tinyAdapters) {
      const file = await compileFor(model.info, join(tinyFolder, 'adapters', name), cache);
      adapters.push(await model.adapters.load(name, file));
    }
    const rows = [...adapters, null].map((adapter, index) => ({
      adapter,
      from: adapter ?? withLora(lora),
      prompt: golden.prompts.slice(0, index + 1).flatMap(({ input_ids }) => input_ids),
    }));
    const kv = lora.newRows({ rows: rows.length, capacity: 64 })!;
    const mixed = lora.mixed()!;
    const single: Float32Array[] = [];
    for (const [row, { from, prompt }] of rows.entries()) {
      const own = from.graph.newCache(64);
      await from.graph.prepare(from.feeds, prompt, own, [prompt.length - 1])();
      single.push((await from.graph.prepare(from.feeds, [100 + row], own, [0])()).slice());
      await from.graph.prepare(from.feeds, prompt, new RowCache(kv, row), [prompt.length - 1])();
    }
    const feeds = mixed.of(rows.map(({ adapter }) => adapter?.feeds));
    const span = kv.span(0, rows.length);
    const step = { ids: rows.map((_, row) => [100 + row]), before: rows.map(({ prompt }) => prompt.length) };
    const logits = await lora.prepareRows(feeds, step, { past: span, present: span }, [0])();
    for (const [row, expected] of single.entries()) {
      const got = logits.slice(row * lora.vocabSize, (row + 1) * lora.vocabSize);
      expect(maxDifference(got, expected)).toBeLessThanOrEqual(tolerance[precision]);
      for (const other of single.filter((_, at) => at !== row))
        expect(maxDifference(got, other)).toBeGreaterThan(1);
    }
    mixed.release();
    kv.release();
    model.sessions.release();
  });

  it('give the tokens that each gives alone, with four adapters and none at once', async () => {
    for (let round = 0; round < 2; round += 1) {
      const { result, steps } = await stepsDuring(() => host.together(eight));
      expect(result).toEqual(alone);
      if (operator === undefined) continue;
      expect(Math.max(...steps.map(({ rows }) => rows))).toBe(8);
      expect(steps.length).toBeLessThan(alone.flat().length / 2);
    }
    expect(host.host.now().limits).toEqual([]);
  });

  it('of one adapter run together', async () => {
    const inputs = [
      endless('digits', 'moon:', 30),
      endless('digits', 'x', 40),
      endless('digits', 'red'.repeat(20), 20),
    ];
    const expected = await host.alone(inputs);
    const { result, steps } = await stepsDuring(() => host.together(inputs));
    expect(result).toEqual(expected);
    expect(Math.max(...steps.map(({ rows }) => rows))).toBe(3);
    expect(new Set(steps.map(({ graph }) => graph))).toEqual(new Set([host.sessions.lora]));
  });

  it('of two adapters take a step for each of them where adapters do not run together', async () => {
    const before = host.host.now();
    await host.together([endless('upper', 'moon:', 30), endless('digits', 'moon:', 30)]);
    const { decodeSteps, decodedTokens } = host.host.now();
    const tokens = decodedTokens - before.decodedTokens;
    const rowsOfAStep = tokens / (decodeSteps - before.decodeSteps);
    // First tokens come with the prompts, one after the other: those of the first one decode alone meanwhile.
    expect(tokens).toBe(58);
    if (operator === undefined) expect(rowsOfAStep).toBe(1);
    else expect(rowsOfAStep).toBeGreaterThan(1.8);
  });

  it('come and go in the middle of others', async () => {
    const [first, second, third, fourth, fifth, sixth, seventh, eighth] =
      eight as readonly GenerateInput[] & {
        readonly length: 8;
      };
    const long = host.start(seventh!);
    await long.given(5);
    const early = [first!, fourth!].map((input) => host.start(input));
    const gone = host.start(sixth!);
    await early[1]!.given(10);
    gone.cancel();
    await expect(gone.answer).rejects.toThrow('cancelled');
    const late = [second!, third!, fifth!, eighth!].map((input) => host.start(input));
    await early[0]!.answer;
    const again = host.start(sixth!);
    const answers = await Promise.all([long, ...early, ...late, again].map(({ answer }) => answer));
    expect(answers.map(({ ids }) => ids)).toEqual([6, 0, 3, 1, 2, 4, 7, 5].map((at) => alone[at]));
  });

  it('that give no finite logits end, also beside others, which go on and come after them as they do alone', async () => {
    const file = await compileFor(host.host.info, join(tinyFolder, 'adapters/digits'), cache);
    await host.host.load('broken', await withNaN(file));
    const broken = [endless('broken', 'x', 20), endless('broken', 'red'.repeat(50), 20)].map((input) => {
      const { answer } = host.start(input);
      return expect(answer).rejects.toMatchObject({ code: 'LOGITS_NOT_FINITE' });
    });
    const beside = eight.slice(0, 6);
    expect(await host.together(beside)).toEqual(alone.slice(0, 6));
    await Promise.all(broken);
    expect(await host.together(eight)).toEqual(alone);
    await host.host.unload('broken');
  });

  it('are run again one by one when a step of several fails', async () => {
    let failures = 0;
    const restore = aroundSteps((given, prepare) => {
      const run = prepare(given);
      if (given[1].ids.length === 1 || failures > 20) return run;
      failures += 1;
      return async () => {
        await run();
        throw new Error('broken');
      };
    });
    const answers = await host.together(eight);
    restore();
    expect(failures).toBeGreaterThan(operator === undefined ? 0 : 10);
    expect(answers).toEqual(alone);
  });

  it('leave nothing of themselves to those that come into their rows later', async () => {
    await host.together(eight.map((input) => ({ ...input, maxTokens: 60 })));
    const short = [endless(null, 'x', 3), endless('upper', 'ab', 4), endless('hello', 'c', 5)];
    const expected = await host.alone(short);
    await host.together(eight);
    expect(await host.together(short)).toEqual(expected);
  });
});

describe('rows of adapters of very different ranks', () => {
  it('share a step where the graph takes an adapter for each row, and are right in any case', async () => {
    const cache = folderOfFile();
    const host = await TestHost.tiny(tinyModel('fp32'), {}, cache);
    const config = join(tinyFolder, 'model/config.json');
    const write = async (name: string, what: { rank: number; modules?: readonly string[] }) => {
      const folder = join(folderOfFile(), name);
      await writeSyntheticAdapter(folder, config, { scale: 0.3, ...what });
      await host.host.load(name, await compileFor(host.host.info, folder, cache));
    };
    await write('large', { rank: 64 });
    await write('few', { rank: 1, modules: ['q_proj', 'v_proj'] });
    const mixed = [
      endless('large', 'moon:', 40),
      ...eight.slice(0, 4),
      endless('few', 'x', 30),
      endless('large', 'x', 30),
    ];
    const expected = await host.alone(mixed);
    expect(expected[0]).not.toEqual((await host.alone([endless(null, 'moon:', 40)]))[0]);
    const { result, steps } = await stepsDuring(() => host.together(mixed));
    expect(result).toEqual(expected);
    if (operator !== undefined) expect(Math.max(...steps.map(({ rows }) => rows))).toBe(mixed.length);
    await host.close();
  });
});

describe('a long prompt beside a request that waits for its tokens', () => {
  it('runs in pieces between those tokens, and changes none of either', async () => {
    const host = await TestHost.tiny(tinyModel('fp32'), { maxDecodeStallMs: 0 });
    const [decoding, long] = [endless(null, 'x', 60), endless('upper', 'red'.repeat(50), 20)];
    const expected = await host.alone([decoding, long]);
    const first = host.start(decoding);
    await first.given(5);
    const before = host.tokens.length;
    const second = host.start(long);
    expect([(await first.answer).ids, (await second.answer).ids]).toEqual(expected);
    // 150 tokens in pieces of 16 at most.
    expect(host.tokens.indexOf(second.id) - before).toBeGreaterThanOrEqual(9);
    await host.close();
  });
});
