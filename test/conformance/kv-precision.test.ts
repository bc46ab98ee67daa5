import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { relativeError } from '../../src/runtime/engine/graphs/kv-scales.ts';
import type { KvWish } from '../../src/runtime/engine/schedule/kv-budget.ts';
import { fixtureFolder } from '../support/fixture-models.ts';
import { folderOfFile, folderOfTests } from '../support/temporary-folder.ts';
import { eight, endless, stepsDuring, TestHost } from './support/host.ts';
import { allLogits, greedy, type OpenModel, openBase, openModel, withLora } from './support/open-model.ts';
import { operator } from './support/operator.ts';
import { compileFor, golden, greedyOf, tinyAdapters, tinyFolder, tinyModel } from './support/tiny.ts';

const wish = (precision: KvWish['precision'], more: Partial<KvWish> = {}) => ({
  kv: { precision, budgetBytes: 512 << 20, available: undefined, besideBytes: 0, requests: 8, ...more },
});

describe('keys and values in int8 on the tiny model', () => {
  const cache = folderOfTests();
  let model: OpenModel;
  let exact: OpenModel;
  beforeAll(async () => {
    exact = await openModel(tinyModel('fp32'), cache);
    model = await openModel(tinyModel('fp32'), cache, wish('int8'));
  });
  afterAll(() => {
    model.sessions.release();
    exact.sessions.release();
  });

  it('take a quarter of the memory, and rows run together', () => {
    const [base, plain] = [model.sessions.base, exact.sessions.base];
    expect(model.warnings).toEqual([]);
    expect([plain.cacheShape.element, base.cacheShape.element]).toEqual(['float32', 'int8']);
    expect(base.cacheBytes(1)).toBe(plain.cacheBytes(1) / 4);
    expect(base.tokensIn(64 << 20)).toBe(4 * plain.tokensIn(64 << 20));
    expect(model.sessions.rowsTogether).toBe(true);
    expect(model.info.graphDigest).not.toBe(exact.info.graphDigest);
  });

  it('give nearly the logits of float32, and its tokens with each adapter', async () => {
    const answers = async (from: OpenModel, name: string | null) => {
      const file =
        name === null ? '' : await compileFor(from.info, join(tinyFolder, 'adapters', name), folderOfFile());
      const runnable = name === null ? withLora(from.sessions.base) : await from.adapters.load(name, file);
      const logits: Float32Array[] = [];
      const tokens: (readonly number[])[] = [];
      for (const { input_ids } of golden.prompts) {
        logits.push(await allLogits(runnable, input_ids));
        tokens.push(await greedy(runnable, input_ids, { eosIds: from.settings.eosIds, count: 32 }));
      }
      return { logits, tokens };
    };
    for (const name of [null, ...tinyAdapters]) {
      const [got, expected] = [await answers(model, name), await answers(exact, name)];
      const error = relativeError(got.logits, expected.logits);
      expect(error).toBeGreaterThan(0);
      expect(error).toBeLessThan(0.05);
      expect(got.tokens).toEqual(expected.tokens);
      expect(got.tokens.map((ids) => ids.length)).toEqual(
        greedyOf(name ?? 'base').map(({ ids }) => ids.length),
      );
    }
  });

  it('are learned once', async () => {
    const { result, steps } = await stepsDuring(() => openBase(tinyModel('fp32'), cache, wish('int8')));
    expect(steps).toEqual([]);
    result.sessions.release();
  });

  it('are learned again, and alike, where what was kept is torn', async () => {
    const folder = join(cache, 'kv-scales');
    for (const name of readdirSync(folder)) writeFileSync(join(folder, name), '{"torn');
    const again = await openBase(tinyModel('fp32'), cache, wish('int8'));
    expect(again.info.graphDigest).toBe(model.info.graphDigest);
    again.sessions.release();
  });
});

it('rows that run together in int8 give the tokens that each gives alone', async () => {
  const host = await TestHost.tiny(tinyModel('fp32'), wish('int8'));
  const alone = await host.alone(eight);
  const { result, steps } = await stepsDuring(() => host.together(eight));
  expect(result).toEqual(alone);
  // In the portable way rows with different adapters do not share a step.
  if (operator !== undefined) expect(Math.max(...steps.map(({ rows }) => rows))).toBe(8);
  expect(host.host.info.kv).toMatchObject({ precision: 'int8', requests: 8, because: '' });
  await host.close();
});

it('a conversation is continued from int8 keys and values that were kept', async () => {
  const host = await TestHost.tiny(tinyModel('fp32'), wish('int8'));
  const text = 'moon: fish: star: dog: ';
  const whole = await host.ask(endless(null, text, 20));
  await host.ask(endless(null, text.slice(0, 20), 1, { scope: 's' }));
  const continued = await host.ask(endless(null, text, 20, { scope: 's' }));
  expect(continued.ids).toEqual(whole.ids);
  await host.close();
});

describe('int8', () => {
  it('is had by a graph with two tables of positions, whose rows run together', async () => {
    const base = await openBase(fixtureFolder('builder-phi3-longrope'), folderOfFile(), wish('int8'));
    expect(base.sessions.base.cacheShape.element).toBe('int8');
    expect(base.sessions.rowsTogether).toBe(true);
    expect(base.warnings).toEqual([]);
    base.sessions.release();
  });

  it('is refused where attention cannot store it, with what to take instead', async () => {
    await expect(
      openBase(fixtureFolder('optimum-llama'), folderOfFile(), wish('int8')),
    ).rejects.toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      advice: 'Take --kv-precision float32.',
    });
  });

  it('stays float32, with a warning, where only the memory of the machine asked for it', async () => {
    const small = { bytes: 0, own: true };
    const auto = wish('auto', { budgetBytes: undefined, available: small });
    const base = await openBase(fixtureFolder('optimum-llama'), folderOfFile(), auto);
    expect(base.kv.precision).toBe('float32');
    base.sessions.release();
  });
});
