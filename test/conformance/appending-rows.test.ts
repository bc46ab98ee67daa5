import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateInput } from '../../src/runtime/engine/engine.ts';
import { copy } from '../../src/runtime/engine/ort/libc.ts';
import { NativeMemory } from '../../src/runtime/engine/ort/memory.ts';
import { elementsOf } from '../../src/runtime/engine/ort/tensor.ts';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { type KvRows, RowCache } from '../../src/runtime/engine/session/kv-rows.ts';
import { folderOfFile, folderOfTests } from '../support/temporary-folder.ts';
import { adapterOf, folderOf } from './support/exports.ts';
import { aroundSteps, endless, stepsDuring, TestHost } from './support/host.ts';
import { type OpenModel, openModel, type Runnable, withLora } from './support/open-model.ts';
import { compileFor, maxDifference } from './support/tiny.ts';

/** Of optimum: windows in every layer, which padding must not move; a plain one; positions for half of a head. */
const exported = ['mistral-window', 'llama', 'phi'].map((name) => ({ name, how: 'optimum' }));

const promptOf = (length: number, seed: number): readonly number[] =>
  Array.from({ length }, (_, at) => 3 + ((at * at * seed + 7 * at + seed) % 40));

const fillWithNaN = (kv: KvRows): void => {
  for (const { address, shape } of kv.span(0, kv.rows)) {
    const nothing = new NativeMemory(elementsOf(shape) * Float32Array.BYTES_PER_ELEMENT);
    new Float32Array(nothing.buffer).fill(NaN);
    copy(address, nothing.address, nothing.bytes);
    nothing.free();
  }
};

const alone = async ({ graph, feeds }: Runnable, ids: readonly number[]): Promise<Float32Array> =>
  (await graph.logitsOf(feeds, ids, [ids.length - 1])).slice();

describe.each(exported)('$name, a graph that appends keys and values', (one) => {
  const cache = folderOfTests();
  const lengths = [1, 30, 8, 9, 17];

  it('gives rows of different lengths what each gives alone, whatever else is in their memory', async () => {
    const model = await openModel(folderOf(one), cache);
    expect(model.sessions.rowsTogether).toBe(true);
    const { lora } = model.sessions;
    const adapted = await model.adapters.load('one', await compileFor(model.info, adapterOf(one), cache));
    for (const from of [withLora(lora), adapted] as readonly Runnable[]) {
      const kv = from.graph.newRows({ rows: lengths.length, capacity: 64 })!;
      fillWithNaN(kv);
      const prompts = lengths.map((length, row) => promptOf(length, row + 1));
      for (const [row, prompt] of prompts.entries())
        await from.graph.prepare(from.feeds, prompt, new RowCache(kv, row), [0])();
      const span = kv.span(0, kv.rows);
      const given = prompts.map((prompt) => [...prompt]);
      for (let step = 0; step < 3; step += 1) {
        // The second step leaves out the longest row and another one.
        const read = step === 1 ? [0, 2, 4] : [...lengths.keys()];
        const ids = given.map((_, row) => [5 + row + step]);
        const before = given.map(({ length }) => length);
        const logits = (
          await from.graph.prepareRows(
            from.feeds,
            { ids, before, read },
            { past: span, present: span },
            [0],
          )()
        ).slice();
        for (const row of read) {
          given[row]!.push(...ids[row]!);
          const own = logits.subarray(row * lora.vocabSize, (row + 1) * lora.vocabSize);
          expect(maxDifference(own, await alone(from, given[row]!)), `row ${row}`).toBeLessThan(1e-4);
        }
      }
      kv.release();
    }
    model.sessions.release();
  });
});

describe('rows of a graph that appends keys and values', () => {
  const cache = folderOfTests();
  const one = { name: 'llama', how: 'optimum' };
  /** A page of each of the heads of keys and values of two layers. */
  let rowBytes: number;
  let inputs: readonly GenerateInput[];
  let expected: readonly (readonly number[])[];

  const open = async (options: Parameters<typeof TestHost.open>[1] = {}): Promise<TestHost> => {
    const host = await TestHost.open(folderOf(one), options, cache);
    await host.host.load('one', await compileFor(host.host.info, adapterOf(one), cache));
    return host;
  };

  beforeAll(async () => {
    const host = await open();
    rowBytes = host.sessions.base.newRows({ rows: 1, capacity: 1 })!.bytesFor(1);
    inputs = [1, 40, 5, 80, 20, 33, 60, 12].map((length, at) =>
      endless(at % 3 === 0 ? null : 'one', '', 20 + 3 * at, {
        prompt: { kind: 'ids', ids: promptOf(length, at + 1) },
      }),
    );
    expected = await host.alone(inputs);
    await host.close();
  });

  it('give the tokens that each gives alone, in fewer steps, and take up what others of a scope began with', async () => {
    const host = await open();
    const { result, steps } = await stepsDuring(() => host.together(inputs));
    expect(result).toEqual(expected);
    // Rows of very different lengths go in steps of their own.
    expect(steps.length).toBeLessThan(0.7 * expected.flat().length);
    const long = { ...inputs[3]!, scope: 's' };
    await host.ask(long);
    const again = await host.ask(long);
    expect(again.ids).toEqual(expected[3]);
    expect(again.done.cachedTokens).toBe(79);
    await host.close();
  });

  it('come and go at random, in memory of whatever size, and give what each gives alone', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.constantFrom(4, 6, 10, 30), async (seed, rows) => {
        const host = await open({ maxConcurrent: 4, maxQueue: 100, kvBudgetBytes: rows * rowBytes });
        const random = seededRandom(seed);
        const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
        const running: Promise<void>[] = [];
        for (let number = 0; number < 30; number += 1) {
          const which = pick([...inputs.keys()]);
          const scope = pick([undefined, 's']);
          const asked = host.start({
            ...inputs[which]!,
            tenant: pick(['a', 'a', 'b']),
            ...(scope === undefined ? {} : { scope }),
          });
          if (random() < 0.2) void asked.given(1 + Math.floor(random() * 15)).then(() => asked.cancel());
          running.push(
            asked.answer.then(
              ({ ids }) => expect(ids).toEqual(expected[which]),
              (reason: unknown) => expect(String(reason)).toContain('cancelled'),
            ),
          );
          const turns = pick([0, 0, 5, 30]);
          for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
        }
        await Promise.all(running);
        await host.close();
      }),
      {
        numRuns: 4,
        endOnFailure: true,
        examples: [
          [1, 4],
          [2, 6],
          [3, 10],
          [4, 30],
        ],
      },
    );
  });

  it('are run again one by one when a step of several fails', async () => {
    const host = await open();
    let failures = 0;
    const restore = aroundSteps((given, prepare) => {
      const run = prepare(given);
      if (given[1].ids.length === 1 || failures > 10) return run;
      failures += 1;
      return async () => {
        await run();
        throw new Error('broken');
      };
    });
    const answers = await host.together(inputs);
    restore();
    expect(failures).toBeGreaterThan(5);
    expect(answers).toEqual(expected);
    await host.close();
  });
});

describe('the memory of rows of a graph that appends keys and values', () => {
  let model: OpenModel;
  beforeAll(async () => {
    model = await openModel(folderOf({ name: 'llama', how: 'optimum' }), folderOfFile());
  });
  afterAll(() => model.sessions.release());

  it('is not copied by a step: what is not written to takes no pages', async () => {
    const { lora } = model.sessions;
    const bytes = 1 << 30;
    const capacity = Math.floor(bytes / lora.cacheBytes(1));
    const kv = lora.newRows({ rows: 1, capacity })!;
    const cache = new RowCache(kv, 0);
    const feeds = lora.feeds(new Map());
    await lora.prepare(feeds, [3, 5, 7], cache, [2])();
    const before = process.memoryUsage.rss();
    for (let token = 0; token < 5; token += 1) await lora.prepare(feeds, [11], cache, [0])();
    expect(process.memoryUsage.rss() - before).toBeLessThan(bytes / 8);
    feeds.release();
    kv.release();
  });
});
