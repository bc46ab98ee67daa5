import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AdapterTable } from '../../src/runtime/engine/adapters/adapter-table.ts';
import { Arena } from '../../src/runtime/engine/adapters/arena.ts';
import type { GenerateInput, TakenLogprob } from '../../src/runtime/engine/engine.ts';
import { Mutex } from '../../src/runtime/engine/mutex.ts';
import { familyOf } from '../../src/runtime/engine/onnx/families.ts';
import { inject } from '../../src/runtime/engine/onnx/inject.ts';
import { gatherLogitsRows } from '../../src/runtime/engine/onnx/logits-rows.ts';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import { DecoderSession } from '../../src/runtime/engine/session/decoder-session.ts';
import { aboutFixture, fixtureFolder, fixtureGraph } from '../support/fixture-models.ts';
import { writeSyntheticAdapter } from '../support/synthetic-adapter.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import { aroundSteps, endless, TestHost } from './support/host.ts';
import { logSumExp } from './support/log-sum-exp.ts';
import { type Runnable, withLora } from './support/open-model.ts';
import { compileFor } from './support/tiny.ts';

const name = 'builder-phi3-longrope';
const { switch: border = 0 } = aboutFixture(name);
const model = fixtureFolder(name);

const promptOf = (length: number, seed: number): readonly number[] =>
  Array.from({ length }, (_, at) => 3 + ((at * at + seed * at + seed) % 16));

const ask = (
  adapter: string | null,
  length: number,
  maxTokens: number,
  more: Partial<GenerateInput> = {},
): GenerateInput =>
  endless(adapter, '', maxTokens, {
    prompt: { kind: 'ids', ids: promptOf(length, length + (adapter === null ? 0 : 5)) },
    logprobs: 0,
    ...more,
  });

/** Below the border, across it while the answer grows or with the first token, and in pieces of 64 tokens on both sides. */
const inputs: readonly GenerateInput[] = [
  ask(null, 5, 30),
  ask('some', border - 12, 30),
  ask(null, border - 2, 20),
  ask('some', border - 1, 20),
  ask(null, border, 20),
  ask('some', border + 1, 20),
  ask(null, 130, 20),
  ask('some', 9, 40),
];

type Said = { readonly ids: readonly number[]; readonly logprobs: readonly number[] };

describe('a graph that changes its table of positions at a length', () => {
  let host: TestHost;
  let adapterFile: string;
  let expected: readonly Said[];
  /** The graph as it was exported: all tokens at once, by themselves. */
  let exported: Readonly<Record<string, Runnable>>;

  const atOnce = async (input: GenerateInput): Promise<Said> => {
    const from = exported[input.engineName ?? 'base'];
    if (from === undefined || input.prompt.kind !== 'ids') throw new Error('not asked here');
    const ids = [...input.prompt.ids];
    const logprobs: number[] = [];
    for (let token = 0; token < input.maxTokens; token += 1) {
      const logits = await from.graph.logitsOf(from.feeds, ids, [ids.length - 1]);
      const allowed = logits.map((value, id) => (id === 2 ? -Infinity : value));
      const next = allowed.reduce((best, value, id) => (value > allowed[best]! ? id : best), 0);
      logprobs.push(logits[next]! - logSumExp(logits));
      ids.push(next);
    }
    return { ids: ids.slice(input.prompt.ids.length), logprobs };
  };

  const expectSame = (got: readonly Said[]): void => {
    for (const [at, { ids, logprobs }] of got.entries()) {
      expect(ids, `answer ${at}`).toEqual(expected[at]!.ids);
      for (const [token, value] of logprobs.entries())
        expect(value, `answer ${at}, token ${token}`).toBeCloseTo(expected[at]!.logprobs[token]!, 4);
    }
  };

  const say = async (input: GenerateInput): Promise<Said> => {
    const { ids, logprobs } = await host.ask(input);
    return { ids, logprobs: logprobs.map(({ logprob }: TakenLogprob) => logprob) };
  };

  beforeAll(async () => {
    // Pieces of 64 tokens at most: the first one of a long prompt ends below the border.
    host = await TestHost.open(model, { maxDecodeStallMs: 0.001 });
    const adapter = folderOfFile();
    await writeSyntheticAdapter(adapter, join(model, 'config.json'), { rank: 4, scale: 2 });
    adapterFile = await compileFor(host.host.info, adapter, folderOfFile());
    await host.host.load('some', adapterFile);
    const base = gatherLogitsRows(fixtureGraph(name));
    const lora = inject(base, familyOf('phi3'));
    const options = { weightsFolder: model, optimised: false, headSize: 16, threads: 1 };
    const whole = await DecoderSession.open(lora.model, lora.sites, options);
    const table = new AdapterTable({
      arena: new Arena(1 << 20),
      graph: whole,
      expected: host.host.info,
      steps: new Mutex(),
    });
    exported = { base: withLora(whole), some: await table.load('some', adapterFile) };
    const answers: Said[] = [];
    for (const input of inputs) answers.push(await atOnce(input));
    expected = answers;
  });
  afterAll(() => host.close());

  it('is opened with its rows together', () => {
    expect(host.warnings).toEqual([]);
    expect(host.sessions.rowsTogether).toBe(true);
  });

  it('answers each request as the exported graph does at once: across the border, and in pieces', async () => {
    const got: Said[] = [];
    for (const input of inputs) got.push(await say(input));
    expectSame(got);
  });

  it('answers each request so beside others, of which some are above the border and some below', async () => {
    const lengths: (readonly number[])[] = [];
    const restore = aroundSteps((given, prepare) => {
      lengths.push(given[1].before);
      return prepare(given);
    });
    const result = await Promise.all(inputs.map(say));
    restore();
    expectSame(result);
    const isMixed = (before: readonly number[]): boolean =>
      Math.min(...before) < border && Math.max(...before) >= border;
    expect(lengths.filter(isMixed).length).toBeGreaterThan(5);
  });

  it('takes nothing of a conversation from before it went above the border', async () => {
    const scope = 'conversation';
    const first = await host.ask(ask(null, border - 8, 4, { scope }));
    const ids = [...promptOf(border - 8, border - 8), ...first.ids];
    const second: GenerateInput = { ...ask(null, 0, 20, { scope }), prompt: { kind: 'ids', ids } };
    const below = await host.ask(second);
    expect(below.done.cachedTokens).toBe(border - 5);
    expect(below.ids).toEqual((await atOnce(second)).ids);
    const more = [...ids, ...below.ids];
    const third: GenerateInput = { ...second, prompt: { kind: 'ids', ids: [...more, 7, 5] } };
    const above = await host.ask(third);
    expect(above.ids).toEqual((await atOnce(third)).ids);
    // From above the border on, it has its keys and values again.
    const fourth: GenerateInput = { ...second, prompt: { kind: 'ids', ids: [...more, 7, 5, ...above.ids] } };
    const again = await host.ask(fourth);
    expect(again.done.cachedTokens).toBe(more.length + 2 + above.ids.length - 1);
    expect(again.ids).toEqual((await atOnce(fourth)).ids);
  });

  it('takes nothing from above the border for a request below it', async () => {
    const scope = 'another';
    await host.ask(ask(null, border + 8, 4, { scope }));
    const ids = promptOf(border + 8, border + 8).slice(0, 40);
    const below: GenerateInput = { ...ask(null, 0, 10, { scope }), prompt: { kind: 'ids', ids } };
    const answer = await host.ask(below);
    expect(answer.done.cachedTokens).toBe(0);
    expect(answer.ids).toEqual((await atOnce(below)).ids);
  });

  it('answers each request so whatever comes, goes and makes way for others', async () => {
    let preemptions = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.constantFrom(7, 10, 20), async (seed, pages) => {
        const small = await TestHost.open(model, {
          maxConcurrent: 3,
          maxQueue: 100,
          // A page of each tensor holds 64 tokens; the longest request has three.
          kvBudgetBytes: pages * 4 * 4096,
          maxDecodeStallMs: 10,
        });
        await small.host.load('some', adapterFile);
        const random = seededRandom(seed);
        const pick = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!;
        const running: Promise<void>[] = [];
        for (let number = 0; number < 24; number += 1) {
          const which = pick([...inputs.keys()]);
          const asked = small.start({
            ...inputs[which]!,
            tenant: pick(['a', 'a', 'b', 'c']),
            priority: pick([0, 0, 0, 1]),
            ...pick([{}, { scope: 's' }, { scope: 't' }]),
          });
          running.push(asked.answer.then(({ ids }) => expect(ids).toEqual(expected[which]!.ids)));
          const turns = pick([0, 0, 5, 30]);
          for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
        }
        await Promise.all(running);
        preemptions += small.host.now().preemptions;
        await small.close();
      }),
      {
        numRuns: 3,
        endOnFailure: true,
        examples: [
          [1, 7],
          [2, 10],
          [3, 20],
        ],
      },
    );
    expect(preemptions).toBeGreaterThan(0);
  });
});
