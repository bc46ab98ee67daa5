import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { float32, safetensors, writeAdapter } from '../../src/runtime/adapter/peft-folder.fixture.ts';
import { transposed } from '../../src/runtime/adapter/weights.ts';
import { readCompiledHeader } from '../../src/runtime/compiled/read-header.ts';
import type { EncodeHostOptions } from '../../src/runtime/engine/encode/encode-host.ts';
import type { PoolingOptions } from '../../src/runtime/engine/encode/pooling-config.ts';
import { inputOf } from '../../src/runtime/engine/onnx/lora-nodes.ts';
import { seededRandom } from '../../src/runtime/engine/random.ts';
import type { EncodeInput, EncodeResult } from '../../src/runtime/engine/tasks.ts';
import { aboutFixture, fixtureGraph } from '../support/fixture-models.ts';
import { folderOfTests } from '../support/temporary-folder.ts';
import { bertFixture, bertHidden, writeBertModel } from './support/bert-model.ts';
import { mergeAdapter } from './support/merge-weights.ts';
import { type Adapter, distance, openGraph } from './support/onnx-fixture.ts';
import { type OpenEncoder, openEncoder } from './support/open-encoder.ts';
import { compileFor } from './support/tiny.ts';

/** Float32 all through: what is left is the order of sums. */
const tolerance = 1e-5;
const { modules } = aboutFixture(bertFixture);
const rank = 2;
const labels = ['low', 'normal', 'high'];
const texts = [
  [3, 5, 7, 11, 2],
  [4, 9],
  [1, 2, 3, 4, 5, 6, 7, 8],
];

const folder = folderOfTests();
const random = seededRandom(11);
const draw = (count: number): number[] => Array.from({ length: count }, () => random() - 0.5);

/** A seeded adapter for every linear with a head, as PEFT saves it for BertForSequenceClassification. */
const adapter = Object.entries(modules).map(([module, { in: inFeatures, out: outFeatures }]) => ({
  module,
  a: { shape: [rank, inFeatures], values: draw(rank * inFeatures) },
  b: { shape: [outFeatures, rank], values: draw(outFeatures * rank) },
}));
const head = { weight: draw(3 * bertHidden), bias: draw(3) };

const writeClassifier = async (): Promise<string> => {
  const prefix = 'base_model.model.';
  const lora = adapter.flatMap(({ module, a, b }) => [
    [`${prefix}bert.${module}.lora_A.weight`, float32(a.shape, a.values)] as const,
    [`${prefix}bert.${module}.lora_B.weight`, float32(b.shape, b.values)] as const,
  ]);
  const tensors = {
    ...Object.fromEntries(lora),
    [`${prefix}classifier.weight`]: float32([3, bertHidden], head.weight),
    [`${prefix}classifier.bias`]: float32([3], head.bias),
  };
  const config = {
    task_type: 'SEQ_CLS',
    r: rank,
    lora_alpha: 3 * rank,
    target_modules: 'all-linear',
    modules_to_save: ['classifier', 'score'],
  };
  const target = await writeAdapter(join(folder, 'classifier'), config, safetensors(tensors));
  writeFileSync(join(target, 'labels.json'), JSON.stringify({ labels }));
  return target;
};

/** The same adapter, times alpha/r, for the reference: merged into the weights. */
const merged = (): Buffer => {
  const tensors: Adapter = new Map(
    adapter.flatMap(({ module, a, b }) => [
      [inputOf(module, 'A'), new Tensor('float32', Float32Array.from(a.values), a.shape)] as const,
      [
        inputOf(module, 'B'),
        new Tensor(
          'float32',
          transposed(
            Float32Array.from(b.values, (value) => 3 * value),
            b.shape[0]!,
            b.shape[1]!,
          ),
          b.shape.toReversed(),
        ),
      ] as const,
    ]),
  );
  return mergeAdapter(fixtureGraph(bertFixture), aboutFixture(bertFixture), tensors);
};

type Reference = { readonly states: Float32Array; readonly pooled: Float32Array; readonly length: number };

/** Each text by itself through a graph with merged weights, run by nothing of ours. */
const referencesOf = async (graph: Buffer): Promise<readonly Reference[]> => {
  const session = await openGraph(graph, 'all');
  const references: Reference[] = [];
  for (const ids of texts) {
    const tensor = (values: readonly number[]) =>
      new Tensor('int64', BigInt64Array.from(values, BigInt), [1, ids.length]);
    const zeros = ids.map(() => 0);
    const feeds = {
      input_ids: tensor(ids),
      attention_mask: tensor(ids.map(() => 1)),
      token_type_ids: tensor(zeros),
    };
    const { last_hidden_state: states, pooler_output: pooled } = await session.run(feeds);
    references.push({
      states: states?.data as Float32Array,
      pooled: pooled?.data as Float32Array,
      length: ids.length,
    });
  }
  await session.release();
  return references;
};

const meanOf = ({ states, length }: Reference): Float32Array =>
  Float32Array.from({ length: bertHidden }, (_, at) => {
    let sum = 0;
    for (let token = 0; token < length; token += 1) sum += states[bertHidden * token + at] ?? NaN;
    return sum / length;
  });

const logitsOf = ({ pooled }: Reference): Float32Array =>
  Float32Array.from(head.bias, (bias, label) =>
    pooled.reduce((sum, value, at) => sum + value * (head.weight[bertHidden * label + at] ?? NaN), bias),
  );

const unit = (vector: Float32Array): Float32Array => vector.map((value) => value / Math.hypot(...vector));

describe('an encoder in float32, against the adapter merged into its weights', () => {
  let encoder: OpenEncoder;
  let file = '';
  let references: readonly Reference[];
  let base: readonly Reference[];
  const others: OpenEncoder[] = [];

  const encode = async (host: OpenEncoder['host'], more: Partial<EncodeInput>): Promise<EncodeResult> =>
    await host.encode(1, {
      requestId: '1',
      engineName: null,
      texts: texts.map((ids) => ({ kind: 'ids', ids })),
      output: 'embedding',
      ...more,
    });
  const openWith = async (options: Partial<EncodeHostOptions> & PoolingOptions): Promise<OpenEncoder> => {
    const other = await openEncoder(writeBertModel(join(folder, 'model')), join(folder, 'cache'), options);
    await other.host.load('classifier', file);
    others.push(other);
    return other;
  };

  beforeAll(async () => {
    encoder = await openEncoder(writeBertModel(join(folder, 'model')), join(folder, 'cache'));
    file = await compileFor(encoder.model.info, await writeClassifier(), folder);
    await encoder.host.load('classifier', file);
    references = await referencesOf(merged());
    base = await referencesOf(fixtureGraph(bertFixture));
  });
  afterAll(async () => {
    await Promise.all([encoder, ...others].map(({ host }) => host.close()));
  });

  it('shares the weights between its two graphs', () => {
    expect(encoder.warnings).toEqual([]);
  });

  it('classifies texts of a padded batch with the logits of each by itself', async () => {
    const result = await encode(encoder.host, { engineName: 'classifier', output: 'classification' });
    if (result.kind !== 'classification') throw new Error('no classification');
    expect(result.labels).toEqual(labels);
    for (const [index, { logits, label }] of result.rows.entries()) {
      const reference = references[index];
      const expected = reference === undefined ? new Float32Array() : logitsOf(reference);
      expect(distance(Float32Array.from(logits), expected)).toBeLessThanOrEqual(tolerance);
      expect(label).toBe(labels[expected.indexOf(Math.max(...expected))]);
    }
    const unadapted = base[0] === undefined ? new Float32Array() : logitsOf(base[0]);
    expect(distance(Float32Array.from(result.rows[0]?.logits ?? []), unadapted)).toBeGreaterThan(0.01);
  });

  it.each<[string, PoolingOptions, (reference: Reference) => Float32Array]>([
    ['the mean, of length 1', {}, (reference) => unit(meanOf(reference))],
    ['the mean as it is', { normalize: false }, meanOf],
    ['the first token', { pooling: 'cls', normalize: false }, ({ states }) => states.slice(0, bertHidden)],
    ['the pooler', { pooling: 'pooler', normalize: false }, ({ pooled }) => pooled],
  ])('embeds by %s', async (_, options, expectedOf) => {
    const { host } = await openWith(options);
    for (const [adapterName, all] of [['classifier', references] as const, [null, base] as const]) {
      const result = await encode(host, { engineName: adapterName });
      if (result.kind !== 'embedding') throw new Error('no embeddings');
      for (const [index, row] of result.rows.entries()) {
        const reference = all[index];
        const expected = reference === undefined ? new Float32Array() : expectedOf(reference);
        expect(distance(row, expected)).toBeLessThanOrEqual(tolerance);
      }
    }
  });

  it('answers the same whatever it is batched with', async () => {
    const { host } = await openWith({ maxBatch: 1 });
    const alone = await encode(host, { engineName: 'classifier' });
    const together = await encode(encoder.host, { engineName: 'classifier' });
    if (alone.kind !== 'embedding' || together.kind !== 'embedding') throw new Error('no embeddings');
    for (const [index, row] of alone.rows.entries()) {
      expect(distance(row, together.rows[index] ?? new Float32Array())).toBeLessThanOrEqual(tolerance);
    }
  });

  it('answers requests of the adapter and of the base model at the same time, each with its own weights', async () => {
    const requests = Array.from({ length: 20 }, (_, index) =>
      encode(encoder.host, { engineName: index % 2 === 0 ? 'classifier' : null }),
    );
    for (const [index, result] of (await Promise.all(requests)).entries()) {
      if (result.kind !== 'embedding') throw new Error('no embeddings');
      const expected = (index % 2 === 0 ? references : base).map((reference) => unit(meanOf(reference)));
      for (const [text, row] of result.rows.entries()) {
        expect(distance(row, expected[text] ?? new Float32Array())).toBeLessThanOrEqual(tolerance);
      }
    }
  });

  it('refuses a compiled file whose head has a flipped bit, and keeps nothing of it', async () => {
    const { head: parts } = await readCompiledHeader(file);
    const bytes = readFileSync(file);
    const at = parts?.bias.offset ?? 0;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    const damaged = `${file}.damaged`;
    writeFileSync(damaged, bytes);
    await expect(encoder.host.load('damaged', damaged)).rejects.toMatchObject({
      code: 'COMPILED_FILE_CORRUPT',
    });
    await expect(encode(encoder.host, { engineName: 'damaged' })).rejects.toMatchObject({
      code: 'ADAPTER_NOT_AVAILABLE',
    });
  });

  it('has room for a request as soon as one that waits is given up', async () => {
    const { host } = await openWith({
      maxConcurrent: 1,
      maxQueue: 0,
      maxBatch: texts.length,
      maxBatchDelayMs: 600_000,
    });
    const [first] = texts;
    const waiting = encode(host, { texts: [{ kind: 'ids', ids: first ?? [] }] });
    await expect(encode(host, {})).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    host.cancel(1);
    const next = encode(host, {});
    await expect(waiting).rejects.toMatchObject({ code: 'REQUEST_CANCELLED' });
    expect(await next).toMatchObject({ kind: 'embedding' });
  });

  it('unloads an adapter only when nothing uses it any more', async () => {
    const { host } = await openWith({ maxBatch: 1 });
    const running = encode(host, { engineName: 'classifier' });
    const unloaded = host.unload('classifier');
    expect(await running).toMatchObject({ kind: 'embedding' });
    await unloaded;
    await expect(encode(host, { engineName: 'classifier' })).rejects.toMatchObject({
      code: 'ADAPTER_NOT_AVAILABLE',
    });
  });
});
