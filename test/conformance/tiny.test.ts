import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inputOf } from '../../src/runtime/engine/onnx/inject.ts';
import type { OrtTensor } from '../../src/runtime/engine/ort/tensor.ts';
import { provePrepared } from '../../src/runtime/engine/session/prove-prepared.ts';
import { unwiredModules } from '../../src/runtime/engine/session/wiring.ts';
import {
  allLogits,
  exportedLogits,
  greedy,
  type OpenModel,
  openModel,
  readConfig,
  tensorOf,
} from './support/open-model.ts';
import {
  compileFor,
  golden,
  goldenLogits,
  greedyOf,
  maxDifference,
  sameBits,
  scratch,
  tinyAdapters,
  tinyFolder,
  tinyModel,
} from './support/tiny.ts';

/** Largest absolute difference to the reference's logits, which reach 12.8. */
const tolerance = 1e-4;
const none = new Map<string, OrtTensor>();
const loaded = (model: OpenModel, name: string) => model.adapters.get(name).feeds;

const zeros = (count: number): Float32Array => new Float32Array(count);

describe.each(['fp32', 'int4'] as const)('the tiny model in %s', (precision) => {
  let model: OpenModel;

  beforeAll(async () => {
    const folder = scratch();
    model = await openModel(tinyModel(precision), folder);
    for (const name of tinyAdapters) {
      const file = await compileFor(model.info, join(tinyFolder, 'adapters', name), folder);
      await model.adapters.load(name, file);
    }
  });
  afterAll(() => model.sessions.release());

  it('runs on prepared weights', () => {
    expect(model.warnings).toEqual([]);
    expect(model.info.sites).toHaveLength(14);
  });

  if (precision === 'fp32')
    it('gives the logits of the reference at every position, base and each adapter', async () => {
      const { base, lora } = model.sessions;
      for (const [index, { input_ids }] of golden.prompts.entries()) {
        const logits = await allLogits(base, base.feeds(none), input_ids);
        expect(maxDifference(logits, goldenLogits('base')[index]!)).toBeLessThanOrEqual(tolerance);
        for (const name of tinyAdapters) {
          const adapted = await allLogits(lora, loaded(model, name), input_ids);
          expect(maxDifference(adapted, goldenLogits(name)[index]!)).toBeLessThanOrEqual(tolerance);
          expect(maxDifference(adapted, logits)).toBeGreaterThan(1);
        }
      }
    });

  it('gives the greedy tokens and text of the reference, base and each adapter', async () => {
    const { base, lora } = model.sessions;
    for (const [index, { text, input_ids }] of golden.prompts.entries()) {
      expect(model.codec.encode({ kind: 'text', text })).toEqual(input_ids);
      const options = { eosIds: model.settings.eosIds, count: 32 };
      for (const name of ['base', ...tinyAdapters]) {
        const session = name === 'base' ? base : lora;
        const feeds = name === 'base' ? base.feeds(none) : loaded(model, name);
        const ids = await greedy(session, feeds, input_ids, options);
        expect(ids).toEqual(greedyOf(name)[index]?.ids);
        expect(model.codec.decode(ids)).toBe(greedyOf(name)[index]?.text);
      }
    }
  });

  it('is bit-equal to the exported graph without an adapter and with rank 0', async () => {
    const { base, lora } = model.sessions;
    const shape = { ...readConfig(tinyModel(precision)), headSize: model.settings.headSize };
    for (const { input_ids } of golden.prompts) {
      const exported = await exportedLogits(tinyModel(precision), shape, input_ids);
      expect(exported.every(Number.isFinite)).toBe(true);
      expect(sameBits(await allLogits(base, base.feeds(none), input_ids), exported)).toBe(true);
      expect(sameBits(await allLogits(lora, lora.feeds(none), input_ids), exported)).toBe(true);
    }
  });

  it('leaves no trace of an adapter on what runs after it', async () => {
    const { base, lora } = model.sessions;
    const ids = golden.prompts[1]!.input_ids;
    const before = await allLogits(lora, loaded(model, 'upper'), ids);
    const plain = await allLogits(base, base.feeds(none), ids);
    await allLogits(lora, loaded(model, 'reverse'), ids);
    expect(sameBits(await allLogits(lora, loaded(model, 'upper'), ids), before)).toBe(true);
    expect(sameBits(await allLogits(base, base.feeds(none), ids), plain)).toBe(true);
  });

  it('takes different ranks at different linears', async () => {
    const { lora } = model.sessions;
    const tensors = new Map<string, OrtTensor>();
    for (const [index, { module, inFeatures, outFeatures }] of lora.sites.entries()) {
      const rank = [0, 1, 4, 8, 16][index % 5]!;
      tensors.set(inputOf(module, 'A'), tensorOf(zeros(rank * inFeatures), [rank, inFeatures]));
      tensors.set(
        inputOf(module, 'B'),
        tensorOf(zeros(outFeatures * rank), [outFeatures, rank]),
      );
    }
    const ids = golden.prompts[0]!.input_ids;
    const mixed = await allLogits(lora, lora.feeds(tensors), ids);
    expect(maxDifference(mixed, await allLogits(lora, lora.feeds(none), ids))).toBe(0);
  });

  it('gives the same for a prompt in one step and in several', async () => {
    const { lora } = model.sessions;
    const ids = golden.prompts[3]!.input_ids;
    const feeds = loaded(model, 'upper');
    const whole = await lora.logitsOf(feeds, ids, [ids.length - 1]);
    const cache = lora.newCache(ids.length);
    await lora.prepare(feeds, ids.slice(0, 3), cache, [2])();
    const rest = await lora.prepare(feeds, ids.slice(3), cache, [ids.length - 4])();
    expect(cache.length).toBe(ids.length);
    // Fewer rows per step are another kernel, which for int4 rounds activations differently.
    expect(maxDifference(rest, whole)).toBeLessThan(precision === 'fp32' ? tolerance : 0.5);
  });

  it('has every LoRA input wired to the logits', async () => {
    expect(await unwiredModules(model.sessions.lora)).toEqual([]);
  });
});

describe('one adapter in three precisions', () => {
  it('agrees within what the precision of the file allows', async () => {
    const folder = scratch();
    const model = await openModel(tinyModel('fp32'), folder);
    const { lora } = model.sessions;
    const files = {
      fp16: join(tinyFolder, 'adapters/upper'),
      fp32: join(tinyFolder, 'variants/valid-fp32'),
      bf16: join(tinyFolder, 'variants/valid-bf16'),
    };
    const logits: Record<string, Float32Array[]> = {};
    for (const [name, path] of Object.entries(files)) {
      const { feeds } = await model.adapters.load(name, await compileFor(model.info, path, folder));
      logits[name] = [];
      for (const { input_ids } of golden.prompts) logits[name].push(await allLogits(lora, feeds, input_ids));
      const options = { eosIds: model.settings.eosIds, count: 32 };
      const ids = await greedy(lora, feeds, golden.prompts[1]!.input_ids, options);
      expect(model.codec.decode(ids)).toBe(' MOON!');
    }
    for (const index of golden.prompts.keys()) {
      expect(maxDifference(logits['fp32']![index]!, logits['fp16']![index]!)).toBeLessThanOrEqual(tolerance);
      expect(maxDifference(logits['bf16']![index]!, logits['fp16']![index]!)).toBeLessThan(0.2);
    }
    model.sessions.release();
  });
});

describe('prepared weights', () => {
  it('are proved to give the answers of the exported model, and refused when they do not', async () => {
    const cache = scratch();
    const { sessions, settings } = await openModel(tinyModel('int4'), cache);
    sessions.release();
    const [name = ''] = readdirSync(join(cache, 'prepared'));
    const folder = join(cache, 'prepared', name);
    const model = join(tinyModel('int4'), 'model.onnx');
    const options = { threads: 1, headSize: settings.headSize };
    await provePrepared(model, folder, options);
    const weights = join(folder, 'weights.bin');
    const bytes = readFileSync(weights);
    // Beyond the embedding, which most tokens do not touch.
    for (let at = 70_000; at < bytes.length; at += 1) bytes.writeUInt8(bytes.readUInt8(at) ^ 0x11, at);
    writeFileSync(weights, bytes);
    await expect(provePrepared(model, folder, options)).rejects.toThrow(/do not give the answers/);
  });
});
