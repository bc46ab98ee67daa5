import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AdapterTable } from '../../src/runtime/engine/adapters/adapter-table.ts';
import { Arena } from '../../src/runtime/engine/adapters/arena.ts';
import { Mutex } from '../../src/runtime/engine/mutex.ts';
import type { DecoderSession } from '../../src/runtime/engine/session/decoder-session.ts';
import { folderOfFile } from '../support/temporary-folder.ts';
import {
  adapterOf,
  adapterOfKind,
  doraOf,
  expectedExports,
  exportsHere,
  folderOf,
  goldenOf,
  goldenOfKind,
  isHalf,
  moreOf,
} from './support/exports.ts';
import { endless, stepsDuring, TestHost } from './support/host.ts';
import { logSumExp } from './support/log-sum-exp.ts';
import { openEncoder } from './support/open-encoder.ts';
import { allLogits, openBase, type Runnable, withLora } from './support/open-model.ts';
import { itWithOperator, operator } from './support/operator.ts';
import { compileFor, maxDifference } from './support/tiny.ts';

/** Largest difference to PyTorch's logits, which reach 5 to 25. */
const tolerance = 1e-4;
/** The same to those of weights and positions that were not rounded to 16 bits, for exports that were. */
const roundedTolerance = 0.05;

/** Logits of every position, of pieces that end at `cuts`. `length`: of the sequence in the end. */
const inPieces = async (
  { graph, feeds }: Runnable,
  ids: readonly number[],
  cuts: readonly number[],
): Promise<Float32Array> => {
  const cache = graph.newCache(ids.length);
  const all: number[] = [];
  for (const end of [...cuts.filter((cut) => cut < ids.length), ids.length]) {
    const piece = ids.slice(cache.length, end);
    all.push(...(await graph.prepare(feeds, piece, cache, [...piece.keys()], ids.length)()));
  }
  cache.release();
  return Float32Array.from(all);
};

type Said = { readonly ids: readonly number[]; readonly logprobs: readonly number[] };

/** The likeliest tokens after a prompt, each from all tokens before it at once; never the one that ends an answer. */
const atOnce = async (
  { graph, feeds }: Runnable,
  prompt: readonly number[],
  count: number,
): Promise<Said> => {
  const ids = [...prompt];
  const logprobs: number[] = [];
  for (let token = 0; token < count; token += 1) {
    const logits = await graph.logitsOf(feeds, ids, [ids.length - 1]);
    const allowed = logits.map((value, id) => (id === 2 ? -Infinity : value));
    const next = allowed.reduce((best, value, id) => (value > allowed[best]! ? id : best), 0);
    logprobs.push(logits[next]! - logSumExp(logits));
    ids.push(next);
  }
  return { ids: ids.slice(prompt.length), logprobs };
};

/** Lengths of prompts on both sides of the windows (8) and borders (24) of these models. */
const lengths = [3, 7, 8, 12, 15, 19, 23, 30];

it('has an expectation for each export that is here', () => {
  const names = (exports: readonly { readonly name: string; readonly how: string }[]) =>
    exports.map(({ name, how }) => `${name}/${how}`).sort();
  expect(names(expectedExports)).toEqual(names(exportsHere()));
});

const decoders = expectedExports.filter(
  ({ name, expected }) => name !== 'bert' && expected !== 'MODEL_UNSUPPORTED',
);

describe.each(decoders)('$name, exported as $how', ({ expected, ...exported }) => {
  const most = typeof expected === 'number' ? expected : Infinity;
  const golden = goldenOf(exported, most);
  const toleranceOfKinds = isHalf(exported) ? roundedTolerance : tolerance;
  let host: TestHost;
  let runnables: Readonly<Record<'base' | 'adapted', Runnable>>;
  let table: AdapterTable<DecoderSession>;

  beforeAll(async () => {
    // Pieces of prompts as small as they get.
    host = await TestHost.open(folderOf(exported), { maxDecodeStallMs: 0.001 });
    const { base, lora } = host.sessions;
    const file = await compileFor(host.host.info, adapterOf(exported), folderOfFile());
    await host.host.load('adapted', file);
    table = new AdapterTable({
      arena: new Arena(1 << 20),
      graph: lora,
      expected: host.host.info,
      steps: new Mutex(),
    });
    runnables = { base: withLora(base), adapted: await table.load('adapted', file) };
  });
  afterAll(() => host.close());

  it(`is opened for ${expected === 'right' ? 'all there is' : `${expected}`}`, () => {
    const limits = [
      ...(isHalf(exported) ? ['model.onnx is in float16 or bfloat16, and served in float32'] : []),
      ...(most === Infinity ? [] : [`requests of more than ${most} tokens are refused: the model `]),
      ...(expected === 'alone' ? ['themselves: the graph has no input position_ids'] : []),
    ];
    expect(host.warnings).toEqual(limits.map((limit) => expect.stringContaining(limit)));
    expect(host.sessions.maxTokens).toBe(Math.min(most, 128));
  });

  it('gives the logits of PyTorch and PEFT at every position', async () => {
    for (const { ids, base, adapted } of golden) {
      expect(maxDifference(await allLogits(runnables.base, ids), base)).toBeLessThan(tolerance);
      expect(maxDifference(await allLogits(runnables.adapted, ids), adapted)).toBeLessThan(tolerance);
      expect(maxDifference(base, adapted)).toBeGreaterThan(0.1);
    }
  });

  itWithOperator('gives the logits of PEFT with DoRA on every linear', async () => {
    const file = await compileFor(host.host.info, doraOf(exported), folderOfFile());
    const adapted = await table.load('dora', file);
    for (const { ids, base, dora } of golden) {
      expect(maxDifference(await allLogits(adapted, ids), dora)).toBeLessThan(toleranceOfKinds);
      expect(maxDifference(base, dora)).toBeGreaterThan(0.1);
    }
    await table.unload('dora');
  });

  for (const kind of moreOf(exported)) {
    // Gates and what they let through come out of one node, and are taken apart behind it.
    const isRefused = kind === 'ia3' && exported.how === 'gate-up';
    itWithOperator(`${isRefused ? 'refuses' : 'gives the logits of PEFT with'} ${kind}`, async () => {
      const compiling = compileFor(host.host.info, adapterOfKind(exported, kind), folderOfFile());
      if (isRefused) return await expect(compiling).rejects.toMatchObject({ code: 'ADAPTER_IA3' });
      const adapted = await table.load(kind, await compiling);
      const wanted = goldenOfKind(exported, kind);
      let at = 0;
      for (const { ids, base } of golden) {
        const own = wanted.subarray(at, at + base.length);
        at += base.length;
        expect(maxDifference(await allLogits(adapted, ids), own)).toBeLessThan(toleranceOfKinds);
        expect(maxDifference(base, own)).toBeGreaterThan(0.1);
      }
      await table.unload(kind);
    });
  }

  it.each([[[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]], [[7]], [[8, 9]], [[16, 24, 25]], [[13, 19]]])(
    'gives them in pieces that end at %j',
    async (cuts) => {
      for (const { ids, base, adapted } of golden) {
        expect(maxDifference(await inPieces(runnables.base, ids, cuts), base)).toBeLessThan(tolerance);
        expect(maxDifference(await inPieces(runnables.adapted, ids, cuts), adapted)).toBeLessThan(tolerance);
      }
    },
  );

  it('answers requests together, with the adapter and without, as each at once', async () => {
    const ids = golden.at(-1)!.ids;
    const asked = lengths
      .filter((length) => length < most)
      .map((length, at) => {
        const from = at % 2 === 0 ? ('base' as const) : ('adapted' as const);
        return { from, prompt: ids.slice(0, length), count: Math.min(10, most - length) };
      });
    const answers = asked.map(({ from, prompt, count }) =>
      host.ask(
        endless(from === 'base' ? null : from, '', count, {
          prompt: { kind: 'ids', ids: prompt },
          logprobs: 0,
        }),
      ),
    );
    const { result, steps } = await stepsDuring(() => Promise.all(answers));
    expect(host.sessions.rowsTogether).toBe(expected !== 'alone');
    if (expected === 'right') expect(steps.some(({ rows }) => rows > 1)).toBe(true);
    for (const [at, { ids: got, logprobs }] of result.entries()) {
      const { from, prompt, count } = asked[at]!;
      const said = await atOnce(runnables[from], prompt, count);
      expect(got, `answer ${at}`).toEqual(said.ids);
      for (const [token, { logprob }] of logprobs.entries())
        expect(logprob, `answer ${at}, token ${token}`).toBeCloseTo(said.logprobs[token]!, 4);
    }
  });
});

it.each(expectedExports.filter(({ expected }) => expected === 'MODEL_UNSUPPORTED'))(
  '$name, exported as $how, is refused with what to do',
  async (exported) => {
    await expect(openBase(folderOf(exported), folderOfFile())).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      message: expect.stringMatching(
        /has no soft-capping; .* Export the base model with its eager attention/,
      ),
    });
  },
);

const encoders = expectedExports.filter(({ name }) => name === 'bert');

describe.each(encoders)('an encoder, exported as $how', (exported) => {
  it('embeds a padded batch as PyTorch and PEFT do, with the adapter and without', async () => {
    const folder = folderOfFile();
    const { model, host, warnings } = await openEncoder(folderOf(exported), folder);
    expect(warnings).toEqual(
      isHalf(exported) ? [expect.stringContaining('model.onnx is in float16 or bfloat16, and')] : [],
    );
    await host.load('adapted', await compileFor(model.info, adapterOf(exported), folder));
    const golden = goldenOf(exported);
    const adapters: [string | null, 'base' | 'adapted' | 'dora'][] = [
      [null, 'base'],
      ['adapted', 'adapted'],
    ];
    if (operator === undefined)
      await expect(compileFor(model.info, doraOf(exported), folder)).rejects.toThrow('portable');
    else {
      await host.load('dora', await compileFor(model.info, doraOf(exported), folder));
      adapters.push(['dora', 'dora']);
    }
    for (const [engineName, of] of adapters) {
      const texts = golden.map(({ ids }) => ({ kind: 'ids' as const, ids }));
      const result = await host.encode(1, { requestId: '1', engineName, texts, output: 'embedding' });
      if (result.kind !== 'embedding') throw new Error(result.kind);
      for (const [at, embedding] of result.rows.entries()) {
        const { ids, [of]: hidden } = golden[at]!;
        const width = hidden.length / ids.length;
        const mean = Float32Array.from({ length: width }, (_, column) =>
          ids.reduce((sum, _id, row) => sum + hidden[row * width + column]! / ids.length, 0),
        );
        const unit = mean.map((value) => value / Math.hypot(...mean));
        const largest = isHalf(exported) && of === 'dora' ? roundedTolerance : tolerance;
        expect(maxDifference(embedding, unit)).toBeLessThan(largest);
      }
    }
    await host.close();
  });
});
